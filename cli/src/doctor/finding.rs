//! What was found, and how it is told.

use std::fmt;

use serde_json::{Value, json};

/// How it stands with something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// As it should be.
    Ok,
    /// Could not be looked at, and says nothing.
    Skipped,
    /// Works, and is not as it should be.
    Warning,
    /// Does not work until it is mended.
    Wrong,
}

impl Level {
    fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Skipped => "skipped",
            Self::Warning => "warning",
            Self::Wrong => "wrong",
        }
    }

    /// The colour on a terminal (ECMA-48, `SGR`).
    fn colour(self) -> &'static str {
        match self {
            Self::Ok => "32",
            Self::Skipped => "2",
            Self::Warning => "33",
            Self::Wrong => "1;31",
        }
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// What part of the deployment it is of: `github`, `table`, a provider's name.
    pub area: String,
    /// What was looked at.
    pub what: String,
    /// How it stands with it.
    pub level: Level,
    /// What was seen.
    pub why: String,
    /// What a person can do about it; empty where nothing is to be done.
    pub mend: String,
}

/// The findings of one area, as they are made.
#[derive(Debug)]
pub struct Findings {
    area: String,
    all: Vec<Finding>,
}

impl Findings {
    /// None yet.
    pub fn of(area: impl Into<String>) -> Self {
        Self { area: area.into(), all: Vec::new() }
    }

    /// It is as it should be.
    pub fn ok(&mut self, what: impl Into<String>, why: impl Into<String>) {
        self.add(Level::Ok, what, why, String::new());
    }

    /// It could not be looked at.
    pub fn skipped(&mut self, what: impl Into<String>, why: impl Into<String>) {
        self.add(Level::Skipped, what, why, String::new());
    }

    /// It works, and is not as it should be.
    pub fn warning(&mut self, what: impl Into<String>, why: impl Into<String>, mend: impl Into<String>) {
        self.add(Level::Warning, what, why, mend);
    }

    /// It does not work.
    pub fn wrong(&mut self, what: impl Into<String>, why: impl Into<String>, mend: impl Into<String>) {
        self.add(Level::Wrong, what, why, mend);
    }

    fn add(
        &mut self,
        level: Level,
        what: impl Into<String>,
        why: impl Into<String>,
        mend: impl Into<String>,
    ) {
        let (what, why, mend) = (what.into(), why.into(), mend.into());
        self.all.push(Finding { area: self.area.clone(), what, level, why, mend });
    }

    /// All of them, in the order in which they were made.
    pub fn done(self) -> Vec<Finding> {
        self.all
    }
}

/// How many findings are of a level.
pub fn count(findings: &[Finding], level: Level) -> usize {
    findings.iter().filter(|finding| finding.level == level).count()
}

/// For people: a line for each finding, its mend on the next, and a line that sums up.
pub fn text(findings: &[Finding], coloured: bool) -> String {
    let width = findings.iter().map(|finding| finding.area.chars().count()).max().unwrap_or(0);
    let mut lines = Vec::new();
    for Finding { area, what, level, why, mend } in findings {
        let shown = format!("{level:<7}");
        let shown = if coloured { format!("\x1b[{}m{shown}\x1b[0m", level.colour()) } else { shown };
        let colon = if why.is_empty() { "" } else { ": " };
        lines.push(format!("{shown}  {area:<width$}  {what}{colon}{why}"));
        if !mend.is_empty() {
            lines.push(format!("{:7}  {:width$}  to mend it: {mend}", "", ""));
        }
    }
    let number = |level| count(findings, level);
    lines.push(format!(
        "{} right, {} wrong, {} to be warned of, {} skipped",
        number(Level::Ok),
        number(Level::Wrong),
        number(Level::Warning),
        number(Level::Skipped)
    ));
    lines.join("\n")
}

/// For programs: one object, with every finding and how many are of each level.
pub fn json(findings: &[Finding]) -> Value {
    let each = |Finding { area, what, level, why, mend }: &Finding| {
        let mend = (!mend.is_empty()).then_some(mend);
        json!({ "area": area, "what": what, "level": level.name(), "why": why, "mend": mend })
    };
    let number = |level| count(findings, level);
    json!({
        "findings": findings.iter().map(each).collect::<Vec<_>>(),
        "ok": number(Level::Ok),
        "skipped": number(Level::Skipped),
        "warning": number(Level::Warning),
        "wrong": number(Level::Wrong),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn some() -> Vec<Finding> {
        let mut github = Findings::of("github");
        github.ok("reached", "");
        github.wrong("login", "Bad credentials", "make a new token");
        let mut table = Findings::of("table");
        table.skipped("keys", "the table cannot be looked at");
        github.done().into_iter().chain(table.done()).collect()
    }

    #[test]
    fn a_finding_is_a_line_and_its_mend_the_next() {
        let expected = "ok       github  reached\n\
                        wrong    github  login: Bad credentials\n\
                        \x20                to mend it: make a new token\n\
                        skipped  table   keys: the table cannot be looked at\n\
                        1 right, 1 wrong, 0 to be warned of, 1 skipped";
        assert_eq!(text(&some(), false), expected);
        assert!(text(&some(), true).contains("\x1b[1;31mwrong  \x1b[0m  github"));
    }

    #[test]
    fn programs_get_the_same() {
        let told = json(&some());
        assert_eq!((&told["ok"], &told["wrong"], &told["skipped"]), (&json!(1), &json!(1), &json!(1)));
        assert_eq!(told["findings"][1]["mend"], "make a new token");
        assert_eq!(told["findings"][0]["mend"], Value::Null);
    }
}

//! The entries of the guide: a heading of the third order for each message, with its level, and what follows it.

/// An entry of the guide.
#[derive(Debug, PartialEq, Eq)]
pub struct Entry {
    pub text: String,
    pub level: String,
    pub body: String,
}

/// Reads headings such as ``### `what is said` (warn)``.
pub fn guide(markdown: &str) -> Vec<Entry> {
    let mut entries: Vec<Entry> = Vec::new();
    let mut is_entry = false;
    for line in markdown.lines() {
        if let Some(heading) = line.strip_prefix("### ") {
            let (text, level) = heading
                .strip_prefix('`')
                .and_then(|rest| rest.strip_suffix(')'))
                .and_then(|rest| rest.rsplit_once("` ("))
                .unwrap_or_else(|| panic!("no heading of an entry: {line}"));
            entries.push(Entry { text: text.to_owned(), level: level.to_owned(), body: String::new() });
            is_entry = true;
        } else if line.starts_with('#') {
            is_entry = false;
        } else if let Some(entry) = entries.last_mut().filter(|_| is_entry) {
            entry.body += line;
            entry.body.push('\n');
        }
    }
    entries
}

/// Links within the guide that lead to no heading, by the rule by which GitHub names headings.
pub fn dangling(markdown: &str) -> Vec<String> {
    let name = |heading: &str| -> String {
        let heading = heading.trim_start_matches('#').trim().to_lowercase();
        let kept = heading.chars().filter(|sign| sign.is_alphanumeric() || "-_ ".contains(*sign));
        kept.map(|sign| if sign == ' ' { '-' } else { sign }).collect()
    };
    let names: Vec<String> = markdown.lines().filter(|line| line.starts_with('#')).map(name).collect();
    let links = markdown.split("](#").skip(1).filter_map(|rest| rest.split(')').next());
    links.filter(|link| !names.iter().any(|name| name == link)).map(str::to_owned).collect()
}

#[test]
fn a_link_leads_to_a_heading() {
    let guide = "## The table\n### `no: a \"b\"` (warn)\n[x](#no-a-b-warn) [y](#the-table) [z](#gone)\n";
    assert_eq!(dangling(guide), ["gone"]);
}

#[test]
fn an_entry_is_a_heading_with_what_is_said_and_how_gravely() {
    let read = guide("# Guide\n## Table\n### `a `b` (c)` (warn)\nOne.\n\nTwo.\n## GCP\nno entry\n");
    let entry =
        Entry { text: "a `b` (c)".to_owned(), level: "warn".to_owned(), body: "One.\n\nTwo.\n".to_owned() };
    assert_eq!(read, [entry]);
}

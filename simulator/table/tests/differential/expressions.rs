//! Random expressions: of every form that the ledger has, and of some more.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;
use simulator_table::Item;

use super::random::{Random, text};

/// What the ledger calls its attributes, and some that need an alias.
const BARE: [&str; 7] = ["phase", "runner", "job", "since", "timeline", "claims", "spare_since"];
const ALIASED: [&str; 4] = ["state", "limit", "cool#gcp/us-east1-c", "phase"];

/// The names and values that a request's expressions use.
#[derive(Debug, Clone, Default)]
pub struct Words {
    pub names: HashMap<String, String>,
    pub values: Item,
}

impl Words {
    pub fn value(&mut self, value: AttributeValue) -> String {
        let name = format!(":v{}", self.values.len());
        self.values.insert(name.clone(), value);
        name
    }

    fn name(&mut self, attribute: &str) -> String {
        let name = format!("#n{}", self.names.len());
        self.names.insert(name.clone(), attribute.to_owned());
        name
    }

    /// An attribute, or now and then a part of one.
    fn path(&mut self, random: &mut Random) -> String {
        if random.once_in(4) {
            return self.name(random.pick(&ALIASED));
        }
        match random.below(12) {
            0 => random.pick(&["timeline[0]", "timeline[1]", "timeline[23]"]).to_owned(),
            1 => random.pick(&["claims.a", "claims.b", "claims.a.b"]).to_owned(),
            _ => random.pick(&BARE).to_owned(),
        }
    }

    pub fn condition(&mut self, random: &mut Random, depth: usize) -> String {
        if depth > 0 && random.once_in(2) {
            let one = self.condition(random, depth - 1);
            if random.once_in(5) {
                return format!("NOT ({one})");
            }
            let other = self.condition(random, depth - 1);
            return match random.below(4) {
                0 => format!("{one} AND {other}"),
                1 => format!("{one} or {other}"),
                2 => format!("({one} AND {other}) OR {one}"),
                _ => format!("{one} AND ({one} OR NOT {other})"),
            };
        }
        self.clause(random)
    }

    fn clause(&mut self, random: &mut Random) -> String {
        if random.once_in(5) {
            let whole = [
                "attribute_exists(pk)",
                "attribute_exists(sk)",
                "attribute_not_exists(pk)",
                "job = displaced",
            ];
            return random.pick(&whole).to_owned();
        }
        let path = self.path(random);
        match random.below(14) {
            0 => format!("NOT attribute_exists(pk) OR attribute_exists({path})"),
            1 => format!("displaced <> job AND {path} = {}", self.value(random.number())),
            2 => format!("attribute_exists({path})"),
            3 => format!("attribute_not_exists({path})"),
            4..6 => format!("{path} = {}", self.value(random.value_of(&path))),
            6 => format!("{path} <> {}", self.value(random.value_of(&path))),
            7 => {
                let sign = random.pick(&["<", "<=", ">", ">="]);
                format!("{path} {sign} {}", self.value(random.ordered()))
            }
            8 => {
                let values: Vec<_> =
                    (0..=random.below(3)).map(|_| self.value(random.value_of(&path))).collect();
                format!("{path} IN ({})", values.join(", "))
            }
            9 => {
                let (from, to) = random.pick(&[("a", "b"), ("ab", "ab"), ("10", "9")]);
                format!("{path} BETWEEN {} AND {}", self.value(text(from)), self.value(text(to)))
            }
            10 => format!("attribute_type({path}, {})", self.value(text(random.pick(&["N", "S", "L", "M"])))),
            11 => format!("begins_with({path}, {})", self.value(random.text())),
            12 => format!("contains({path}, {})", self.value(random.value())),
            _ => format!("size({path}) > {}", self.value(random.number())),
        }
    }

    /// An update of attributes that differ from each other.
    pub fn update(&mut self, random: &mut Random) -> String {
        let mut free: Vec<String> = BARE.into_iter().map(str::to_owned).collect();
        free.push("displaced".to_owned());
        free.push(self.name("state"));
        free.push(self.name("limit"));
        let unused: Vec<String> = self.names.keys().cloned().collect();
        let (mut set, mut remove, mut add) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..=random.below(5) {
            let target = free.remove(random.below(free.len()));
            match random.below(10) {
                0..6 => {
                    let target = part(random, target);
                    let value = self.set_to(random, &target);
                    set.push(format!("{target} = {value}"));
                }
                6..9 => {
                    remove.push(part(random, target.clone()));
                    if target == "timeline" && random.once_in(2) {
                        remove = vec!["timeline[0]".to_owned(), "timeline[1]".to_owned()];
                    }
                }
                _ if ["job", "since", "spare_since"].contains(&target.as_str()) || random.once_in(4) => {
                    add.push(format!("{target} {}", self.value(random.number())));
                }
                _ => remove.push(target),
            }
        }
        let section =
            |name, parts: Vec<String>| (!parts.is_empty()).then(|| format!("{name} {}", parts.join(", ")));
        let mut sections = [section("SET", set), section("REMOVE", remove), section("ADD", add)];
        sections.rotate_left(random.below(3));
        let update = sections.into_iter().flatten().collect::<Vec<_>>().join(" ");
        for name in unused {
            if !update.contains(&name) {
                self.names.remove(&name);
            }
        }
        update
    }

    fn set_to(&mut self, random: &mut Random, target: &str) -> String {
        let other = if random.once_in(4) { random.pick(&BARE) } else { random.pick(&["job", "since"]) };
        match random.below(36) {
            0 => format!("if_not_exists({target}, {})", self.value(random.value_of(target))),
            1 => {
                let inner = format!("if_not_exists({other}, {})", self.value(random.value_of(target)));
                format!("if_not_exists({target}, {inner})")
            }
            2 | 3 => {
                let (none, lines) = (self.value(AttributeValue::L(vec![])), self.value(random.list()));
                format!("list_append(if_not_exists({target}, {none}), {lines})")
            }
            4 => format!("list_append({}, timeline)", self.value(random.list())),
            5 => format!("{other} + {}", self.value(random.number())),
            6 => format!("{} - {other}", self.value(random.number())),
            7 => {
                let (none, more) = (self.value(random.number()), self.value(random.number()));
                format!("if_not_exists({target}, {none}) + {more}")
            }
            8 => other.to_owned(),
            9 => format!("({} - {})", self.value(random.number()), self.value(random.number())),
            _ => self.value(random.value_of(target)),
        }
    }
}

/// The attribute, or now and then a part of it.
fn part(random: &mut Random, target: String) -> String {
    match target.as_str() {
        "timeline" if random.once_in(2) => random.pick(&["timeline[0]", "timeline[23]"]).to_owned(),
        "claims" if random.once_in(2) => random.pick(&["claims.a", "claims.c", "claims.a.b"]).to_owned(),
        _ => target,
    }
}

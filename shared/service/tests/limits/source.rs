//! The constants of a source with their values, and the names of its tests, from its tokens.

use std::collections::BTreeMap;

use proc_macro2::{Delimiter, TokenStream, TokenTree};

/// A constant; its value in bytes, milliseconds or as many as there are, where it is a number or a time that can be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Constant {
    pub name: String,
    pub value: Option<i128>,
}

/// All constants of a source but those of its tests.
pub fn constants(source: &str) -> Vec<Constant> {
    let mut read = Read::default();
    read.tokens(source.parse().expect("Rust"));
    read.found
}

/// The names of the functions that are tests.
pub fn tests(source: &str) -> Vec<String> {
    let mut found = Vec::new();
    if source.contains("test]") || source.contains("test(") {
        name_tests(source.parse().expect("Rust"), &mut found);
    }
    found
}

#[derive(Default)]
struct Read {
    found: Vec<Constant>,
    known: BTreeMap<String, i128>,
}

impl Read {
    fn tokens(&mut self, tokens: TokenStream) {
        let trees: Vec<TokenTree> = tokens.into_iter().collect();
        let mut place = 0;
        while let Some(tree) = trees.get(place) {
            if is_cfg_test(&trees[place..]) {
                // What it stands before: up to a body, or the end of a declaration.
                place += trees[place..].iter().position(ends_item).unwrap_or(trees.len());
            } else if let (true, Some(TokenTree::Ident(name))) =
                (is_word(tree, "const"), trees.get(place + 1))
            {
                self.constant(&name.to_string(), &trees[place + 2..]);
            } else if let TokenTree::Group(group) = tree {
                self.tokens(group.stream());
            }
            place += 1;
        }
    }

    fn constant(&mut self, name: &str, rest: &[TokenTree]) {
        let Some(equals) = rest.iter().position(|tree| is_sign(tree, '=')) else { return };
        let Some(end) = rest.iter().position(|tree| is_sign(tree, ';')) else { return };
        if !rest.first().is_some_and(|tree| is_sign(tree, ':')) || end < equals {
            return;
        }
        let mut sum = Sum { left: &rest[equals + 1..end], known: &self.known };
        let value = sum.shifted().filter(|_| sum.left.is_empty());
        if let Some(value) = value {
            self.known.insert(name.to_owned(), value);
        }
        self.found.push(Constant { name: name.to_owned(), value });
    }
}

/// What a constant is computed from: numbers, times, and constants before it.
struct Sum<'a> {
    left: &'a [TokenTree],
    known: &'a BTreeMap<String, i128>,
}

impl Sum<'_> {
    fn next(&mut self) -> Option<TokenTree> {
        let (first, rest) = self.left.split_first()?;
        self.left = rest;
        Some(first.clone())
    }

    /// Whether these signs come next; they are passed over then.
    fn takes(&mut self, signs: &str) -> bool {
        let fits = self.left.len() >= signs.len()
            && signs.chars().zip(self.left).all(|(sign, tree)| is_sign(tree, sign));
        if fits {
            self.left = &self.left[signs.len()..];
        }
        fits
    }

    fn shifted(&mut self) -> Option<i128> {
        let mut value = self.product()?;
        while self.takes("<<") {
            value <<= u32::try_from(self.product()?).ok()?;
        }
        Some(value)
    }

    fn product(&mut self) -> Option<i128> {
        let mut value = self.one()?;
        while self.takes("*") {
            value *= self.one()?;
        }
        Some(value)
    }

    fn one(&mut self) -> Option<i128> {
        match self.next()? {
            TokenTree::Literal(literal) => number(&literal.to_string()),
            TokenTree::Group(group) => self.inner(group.stream()),
            TokenTree::Ident(name) if self.takes("::") => {
                let (TokenTree::Ident(unit), TokenTree::Group(group)) = (self.next()?, self.next()?) else {
                    return None;
                };
                let unit = match (name.to_string().as_str(), unit.to_string().as_str()) {
                    ("Duration" | "SignedDuration", "from_millis") => 1,
                    ("Duration" | "SignedDuration", "from_secs") => 1_000,
                    ("SignedDuration", "from_hours") => 3_600_000,
                    _ => return None,
                };
                Some(self.inner(group.stream())? * unit)
            }
            TokenTree::Ident(name) => self.known.get(&name.to_string()).copied(),
            TokenTree::Punct(_) => None,
        }
    }

    fn inner(&self, tokens: TokenStream) -> Option<i128> {
        let trees: Vec<TokenTree> = tokens.into_iter().collect();
        let mut sum = Sum { left: &trees, known: self.known };
        sum.shifted().filter(|_| sum.left.is_empty())
    }
}

/// `9_999`, `1u32`, `10_000.0`.
fn number(literal: &str) -> Option<i128> {
    let digits: String = literal.chars().filter(|sign| *sign != '_').collect();
    let digits = digits.strip_suffix(".0").unwrap_or(&digits);
    digits.parse().ok()
}

fn is_sign(tree: &TokenTree, sign: char) -> bool {
    matches!(tree, TokenTree::Punct(punct) if punct.as_char() == sign)
}

fn is_word(tree: &TokenTree, word: &str) -> bool {
    matches!(tree, TokenTree::Ident(ident) if ident == word)
}

/// What stands in an attribute, where one begins.
fn attribute(trees: &[TokenTree]) -> Option<String> {
    match trees {
        [hash, TokenTree::Group(group), ..]
            if is_sign(hash, '#') && group.delimiter() == Delimiter::Bracket =>
        {
            Some(group.stream().to_string().replace(' ', ""))
        }
        _ => None,
    }
}

fn is_cfg_test(trees: &[TokenTree]) -> bool {
    attribute(trees).is_some_and(|text| text == "cfg(test)")
}

fn ends_item(tree: &TokenTree) -> bool {
    is_sign(tree, ';') || matches!(tree, TokenTree::Group(group) if group.delimiter() == Delimiter::Brace)
}

fn name_tests(tokens: TokenStream, found: &mut Vec<String>) {
    let trees: Vec<TokenTree> = tokens.into_iter().collect();
    let mut is_test = false;
    for (place, tree) in trees.iter().enumerate() {
        if let Some(text) = attribute(&trees[place..]) {
            is_test |= text == "test" || text.starts_with("tokio::test");
        } else if let (true, true, Some(TokenTree::Ident(name))) =
            (is_test, is_word(tree, "fn"), trees.get(place + 1))
        {
            found.push(name.to_string());
        } else if ends_item(tree) {
            is_test = false;
        }
        if let TokenTree::Group(group) = tree {
            name_tests(group.stream(), found);
        }
    }
}

#[test]
fn constants_are_read_with_their_values_and_not_those_of_tests() {
    let source = r#"
        /// One.
        pub const BODY_MOST: usize = 1 << 20;
        const KEPT: Duration = Duration::from_secs(3 * 24 * 3600);
        const PAUSE: Duration = Duration::from_millis(250);
        const ALL: usize = BODY_MOST * (2);
        const PRICE: f64 = 10_000.0;
        const WORD: &str = "x";
        fn f(a: [u8; 3]) -> *const u8 { const INNER: u32 = 3; }
        #[cfg(test)]
        #[path = "x_tests.rs"]
        mod tests;
        const AFTER: u8 = 1;
        #[cfg(test)]
        mod tests { const HIDDEN: u8 = 1; }
    "#;
    let found: Vec<(String, Option<i128>)> =
        constants(source).into_iter().map(|constant| (constant.name, constant.value)).collect();
    let expected = [
        ("BODY_MOST", Some(1 << 20)),
        ("KEPT", Some(3 * 24 * 3_600_000)),
        ("PAUSE", Some(250)),
        ("ALL", Some(2 << 20)),
        ("PRICE", Some(10_000)),
        ("WORD", None),
        ("INNER", Some(3)),
        ("AFTER", Some(1)),
    ];
    assert_eq!(found, expected.map(|(name, value)| (name.to_owned(), value)));
}

#[test]
fn tests_are_found_in_modules_and_macros_and_nothing_else_is() {
    let source = r#"
        #[test] fn one() {}
        fn helper() {}
        mod tests { #[tokio::test(flavor = "multi_thread")] async fn two() { fn inner() {} } }
        proptest! { #[test] fn three(x in 0..1) {} }
        #[cfg(test)] fn four() {}
    "#;
    assert_eq!(tests(source), ["one", "two", "three"]);
}

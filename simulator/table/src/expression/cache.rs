//! Every text is read once in a thread: a ledger has some dozens of them, and millions of requests.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use super::Statement;
use super::condition::Condition;
use super::parser::References;
use super::update::Update;
use crate::error::{Refusal, invalid};

/// A request's texts may be its own, so the cache is begun anew at this size.
const MOST: usize = 4096;

#[derive(Default)]
struct Cache {
    statements: HashMap<String, Rc<Statement>>,
    /// The key that is looked for, kept to be written into again.
    key: String,
}

thread_local! {
    static CACHE: RefCell<Cache> = RefCell::default();
}

/// The statement of a request's update expression and its condition or key condition, which `named` is the service's
/// name of.
pub(crate) fn statement(
    update: Option<&str>,
    named: &'static str,
    condition: Option<&str>,
) -> Result<Rc<Statement>, Refusal> {
    if update == Some("") || condition == Some("") {
        return Err(invalid("The expression can not be empty;"));
    }
    CACHE.with_borrow_mut(|Cache { statements, key }| {
        key.clear();
        key.push_str(update.unwrap_or_default());
        // No expression that can be read holds this.
        key.push('\0');
        key.push_str(condition.unwrap_or_default());
        if let Some(known) = statements.get(key.as_str()) {
            return Ok(Rc::clone(known));
        }
        let new = Rc::new(read(update, named, condition)?);
        if statements.len() == MOST {
            statements.clear();
        }
        statements.insert(key.clone(), Rc::clone(&new));
        Ok(new)
    })
}

fn read(update: Option<&str>, named: &'static str, condition: Option<&str>) -> Result<Statement, Refusal> {
    let mut references = References::default();
    let update = update.map(|text| Update::read(text, &mut references)).transpose();
    let update = update.map_err(within("UpdateExpression"))?;
    let condition = condition.map(|text| Condition::read(text, &mut references)).transpose();
    let condition = condition.map_err(within(named))?;
    Ok(Statement { update, condition, aliases: references.aliases, values: references.values })
}

fn within(named: &'static str) -> impl Fn(Refusal) -> Refusal {
    move |refusal| match refusal {
        Refusal::Invalid(why) => invalid(format!("Invalid {named}: {why}")),
        Refusal::NoTable => Refusal::NoTable,
    }
}

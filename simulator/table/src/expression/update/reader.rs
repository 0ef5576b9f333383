//! The grammar of update expressions.

use super::{Update, Value};
use crate::error::{Refusal, invalid, unsupported};
use crate::expression::parser::{Parser, References};

impl Update {
    pub(in crate::expression) fn read(text: &str, references: &mut References) -> Result<Self, Refusal> {
        let mut parser = Parser::new(text, references)?;
        let mut update = Self::default();
        while parser.peek().is_some() {
            if parser.keyword("SET") {
                once("SET", &update.set)?;
                update.set = parser.list(|parser| {
                    let path = parser.path()?;
                    parser.expect("=")?;
                    Ok((path, parser.set_to()?))
                })?;
            } else if parser.keyword("REMOVE") {
                once("REMOVE", &update.remove)?;
                update.remove = parser.list(Parser::path)?;
            } else if parser.keyword("ADD") {
                once("ADD", &update.add)?;
                update.add = parser.list(|parser| {
                    let path = parser.path()?;
                    let place = parser.value().ok_or_else(|| parser.syntax())?;
                    Ok((path, place))
                })?;
            } else if parser.keyword("DELETE") {
                return Err(unsupported("taking members out of a set"));
            } else {
                return Err(parser.syntax());
            }
        }
        // White space alone.
        if update.targets().next().is_none() {
            return Err(parser.syntax());
        }
        Ok(update)
    }
}

fn once<T>(section: &str, known: &[T]) -> Result<(), Refusal> {
    if known.is_empty() {
        return Ok(());
    }
    Err(invalid(format!("The \"{section}\" section can only be used once in an update expression;")))
}

impl Parser<'_> {
    fn list<T>(&mut self, one: impl Fn(&mut Self) -> Result<T, Refusal>) -> Result<Vec<T>, Refusal> {
        let mut list = vec![one(self)?];
        while self.sign(",") {
            list.push(one(self)?);
        }
        Ok(list)
    }

    /// One operand, or the sum or difference of two; more the grammar does not have.
    fn set_to(&mut self) -> Result<Value, Refusal> {
        let one = self.operand()?;
        if self.sign("+") {
            return Ok(Value::Sum(Box::new(one), Box::new(self.operand()?)));
        }
        if self.sign("-") {
            return Ok(Value::Difference(Box::new(one), Box::new(self.operand()?)));
        }
        Ok(one)
    }

    fn operand(&mut self) -> Result<Value, Refusal> {
        self.enter()?;
        let operand = if let Some(place) = self.value() {
            Value::Given(place)
        } else if self.sign("(") {
            let inner = self.set_to()?;
            self.expect(")")?;
            inner
        } else if let Some(function) = self.function() {
            self.skip(2);
            self.call(function)?
        } else {
            Value::Path(self.path()?)
        };
        self.leave();
        Ok(operand)
    }

    fn call(&mut self, function: &str) -> Result<Value, Refusal> {
        let value = match function {
            "if_not_exists" => {
                let path = self.path()?;
                self.expect(",")?;
                Value::IfNotExists(path, Box::new(self.operand()?))
            }
            "list_append" => {
                let one = self.operand()?;
                self.expect(",")?;
                Value::ListAppend(Box::new(one), Box::new(self.operand()?))
            }
            _ => return Err(invalid(format!("Invalid function name; function: {function}"))),
        };
        self.expect(")")?;
        Ok(value)
    }
}

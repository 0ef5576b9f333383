//! Metrics as those read them who collect them, and nothing taken that they could refuse.

pub mod cloudwatch;
pub mod exposition;

//! Placeholder while the libraries grow.
fn main() {}

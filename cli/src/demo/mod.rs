//! demo
pub async fn run(_: crate::args::DemoArgs) -> Result<(), crate::error::Error> { Ok(()) }

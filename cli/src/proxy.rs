//! HTTP proxies are for the way out, not for this machine.
//!
//! The clients of GitHub, Google and AWS each read the proxy's variables by themselves, and would look for the embedded
//! table, or the demo's world, behind the proxy. The variables of a process that runs cannot be changed safely, so the
//! process is replaced by itself with `NO_PROXY` extended.

use std::env;
use std::os::unix::process::CommandExt;
use std::process::Command;

use crate::error::Error;

/// The variables that any of the clients reads.
const PROXIES: [&str; 6] =
    ["HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"];
/// What is never behind a proxy.
const HERE: [&str; 2] = ["127.0.0.1", "localhost"];

/// Sees to it that loopback addresses are reached directly. Returns when they are.
pub fn keep_out() -> Result<(), Error> {
    if PROXIES.iter().all(|name| env::var_os(name).is_none_or(|value| value.is_empty())) {
        return Ok(());
    }
    // Where both are set, some clients read the one and some the other.
    let exceptions = ["NO_PROXY", "no_proxy"].map(|name| env::var(name).unwrap_or_default());
    let Some(extended) = extended(&exceptions) else { return Ok(()) };
    let failed =
        |source| Error::io("mayfly cannot start itself again without a proxy for this machine", source);
    let program = env::current_exe().map_err(failed)?;
    let mut again = Command::new(program);
    again.args(env::args_os().skip(1)).env("NO_PROXY", &extended).env("no_proxy", &extended);
    Err(failed(again.exec()))
}

/// All exceptions with this machine among them; `None` where each has it already.
fn extended(exceptions: &[String]) -> Option<String> {
    let entries = |list: &str| list.split(',').map(|entry| entry.trim().to_owned()).collect::<Vec<_>>();
    let has_here = |list: &String| {
        let list = entries(list);
        list.iter().any(|entry| entry == "*")
            || HERE.iter().all(|here| list.iter().any(|entry| entry == here))
    };
    if exceptions.iter().all(has_here) {
        return None;
    }
    let mut all: Vec<String> = Vec::new();
    let given = exceptions.iter().flat_map(|list| entries(list));
    for entry in given.chain(HERE.map(str::to_owned)) {
        if !entry.is_empty() && !all.contains(&entry) {
            all.push(entry);
        }
    }
    Some(all.join(","))
}

#[cfg(test)]
mod tests {
    use super::extended;

    fn of(upper: &str, lower: &str) -> Option<String> {
        extended(&[upper.to_owned(), lower.to_owned()])
    }

    #[test]
    fn this_machine_is_added_once() {
        let extended = of("corp.example, 10.0.0.1", "").unwrap();
        assert_eq!(extended, "corp.example,10.0.0.1,127.0.0.1,localhost");
        assert_eq!(of(&extended, &extended), None);
        assert_eq!(of("*", "*"), None);
        assert_eq!(of("localhost", "127.0.0.1").unwrap(), "localhost,127.0.0.1");
    }
}

//! What `mayfly` tells of itself: help, completions, pages of the manual.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::fs;
use std::process::{Command, Output};

use common::mayfly;
use tempfile::TempDir;

fn run(folder: &TempDir, arguments: &[&str]) -> String {
    let output = mayfly(folder.path()).args(arguments).output().unwrap();
    assert!(output.status.success(), "{arguments:?}: {output:?}");
    assert!(output.stderr.is_empty(), "{arguments:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// What another program makes of it; nothing where that is not installed.
fn asked(program: &str, arguments: &[&str]) -> Option<Output> {
    match Command::new(program).args(arguments).output() {
        Ok(output) => Some(output),
        Err(error) => {
            println!("skipped: {program}: {error}");
            None
        }
    }
}

#[test]
fn bash_completes_commands_and_flags_and_every_shell_gets_a_script() {
    let folder = TempDir::new().unwrap();
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let script = run(&folder, &["completions", shell]);
        assert!(script.contains("drain") && script.contains("sweep-every"), "{shell}: {script}");
        fs::write(folder.path().join(shell), script).unwrap();
    }
    for (words, expected) in [
        (&["mayfly", "dr"][..], "drain"),
        (&["mayfly", "drain", "--res"], "--resume"),
        (&["mayfly", "completions", "zs"], "zsh"),
    ] {
        let asking = format!(
            "source {}; COMP_WORDS=({}); COMP_CWORD={}; _mayfly mayfly {} {}; echo \"${{COMPREPLY[@]}}\"",
            folder.path().join("bash").display(),
            words.join(" "),
            words.len() - 1,
            words[words.len() - 1],
            words[words.len() - 2],
        );
        let Some(completed) = asked("bash", &["--norc", "-c", &asking]) else { return };
        assert_eq!(String::from_utf8(completed.stdout).unwrap().trim(), expected, "{words:?}");
    }
}

#[test]
fn a_shell_that_is_not_known_is_a_usage_error_that_names_those_that_are() {
    let folder = TempDir::new().unwrap();
    let output = mayfly(folder.path()).args(["completions", "dos"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8(output.stderr).unwrap().contains("fish"));
}

#[test]
fn each_command_has_a_page_that_man_can_show() {
    let folder = TempDir::new().unwrap();
    let told = run(&folder, &["man", "pages/man1"]);
    assert!(told.contains("pages/man1"), "{told}");
    let pages = folder.path().join("pages/man1");
    for name in ["mayfly", "mayfly-serve", "mayfly-drain", "mayfly-github-app-create", "mayfly-table-create"]
    {
        let page = pages.join(format!("{name}.1"));
        let source = fs::read_to_string(&page).unwrap();
        assert!(source.contains(".TH") && source.contains("mayfly"), "{name}: {source}");
        let Some(shown) = asked("groff", &["-man", "-Kutf8", "-Tutf8", "-ww", &page.display().to_string()])
        else {
            continue;
        };
        assert!(shown.status.success() && shown.stderr.is_empty(), "{name}: {shown:?}");
        let shown = String::from_utf8(shown.stdout).unwrap();
        assert!(name == "mayfly" || shown.contains("Examples:"), "{name}: {shown}");
    }
    let not_a_folder = folder.path().join("mayfly.db");
    fs::write(&not_a_folder, "").unwrap();
    let output = mayfly(folder.path()).args(["man", "mayfly.db"]).output().unwrap();
    assert!(
        output.status.code() == Some(1) && String::from_utf8(output.stderr).unwrap().contains("mayfly.db")
    );
}

#[test]
fn help_ends_with_examples_and_has_no_escape_codes_in_a_pipe() {
    let folder = TempDir::new().unwrap();
    for command in [&["serve"][..], &["drain"], &["github-app", "create"], &["table", "create"], &["man"]] {
        let help = run(&folder, &[command, &["--help"]].concat());
        let (_, examples) = help.split_once("Examples:\n").unwrap_or_else(|| panic!("{help}"));
        assert!(examples.contains(&format!("mayfly {}", command.join(" "))), "{help}");
        assert!(!help.contains('\u{1b}'), "{help}");
        // The short one stays short.
        assert!(!run(&folder, &[command, &["-h"]].concat()).contains("Examples:"));
    }
}

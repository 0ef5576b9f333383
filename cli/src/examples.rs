//! The examples that `--help` ends with. A test reads each as the program does.

pub const SERVE: &str = "\
Examples:
  mayfly serve
  mayfly serve --listen 127.0.0.1:8080 --data /var/lib/mayfly/mayfly.db
  mayfly serve --poll 20s       # where GitHub cannot reach this machine
  mayfly serve --metrics-listen 127.0.0.1:9090";

pub const DEMO: &str = "\
Examples:
  mayfly demo
  mayfly demo --jobs 100 --log demo.log
  mayfly demo --seed 7          # the same demo again";

pub const DRAIN: &str = "\
Examples:
  mayfly drain linux-gpu --wait --timeout 2h
  mayfly drain linux-gpu --resume";

pub const INIT: &str = "\
Examples:
  mayfly init --url https://github.com/my-org --gcp-project my-project
  mayfly init --url https://github.com/my-org --name linux-gpu --labels self-hosted,Linux,GPU --gcp-project my-project \
--gcp-instance-template linux-gpu-runner --gcp-zones us-east1-c,us-west1-a --gcp-gpu-type nvidia-tesla-t4 --out prod.toml";

pub const GITHUB_APP_CREATE: &str = "\
Examples:
  mayfly github-app create --organization my-org
  mayfly github-app create --organization my-org --pools organization,repository --webhook-url https://example.com/webhook
  mayfly github-app create --no-webhook --listen 127.0.0.1:8000   # for `mayfly serve --poll`, over SSH";

pub const GITHUB_APP_WEBHOOK: &str = "\
Examples:
  mayfly github-app webhook https://example.com/webhook
  mayfly github-app webhook https://example.com/webhook --client-id Iv23liEXAMPLE --private-key mayfly-app.pem";

pub const TABLE_CREATE: &str = "\
Examples:
  mayfly table create           # with your AWS credentials in the environment";

pub const DOCTOR: &str = "\
Examples:
  mayfly doctor
  mayfly doctor --poll          # for `mayfly serve --poll`, which needs no webhook
  mayfly doctor --json          # for programs";

pub const STATUS: &str = "\
Examples:
  mayfly status
  mayfly status --watch 10s
  mayfly status --json          # for programs";

pub const EXPLAIN: &str = "\
Examples:
  mayfly explain 40000000001
  mayfly explain https://github.com/my-org/my-repo/actions/runs/7000000001/job/40000000001
  mayfly explain prod-linux-gpu-0007-abcdefghijkm --json";

pub const COMPLETIONS: &str = "\
Examples:
  mayfly completions bash > ~/.local/share/bash-completion/completions/mayfly
  mayfly completions zsh > ~/.zfunc/_mayfly
  mayfly completions fish > ~/.config/fish/completions/mayfly.fish";

pub const MAN: &str = "\
Examples:
  mayfly man ~/.local/share/man/man1
  mayfly man .                  # then: man ./mayfly-drain.1";

#[cfg(test)]
mod tests {
    use clap::{Command, CommandFactory, Parser};

    use crate::args::Args;

    /// The commands that do something, with their names in full.
    fn leaves(command: &Command, name: &str, found: &mut Vec<(String, Command)>) {
        if !command.has_subcommands() {
            found.push((name.to_owned(), command.clone()));
        }
        for inner in command.get_subcommands() {
            leaves(inner, &format!("{name} {}", inner.get_name()), found);
        }
    }

    #[test]
    fn each_command_ends_its_help_with_examples_that_it_understands() {
        let mut found = Vec::new();
        leaves(&Args::command(), "mayfly", &mut found);
        for (name, command) in found {
            let help = command.get_after_long_help().map(ToString::to_string).unwrap_or_default();
            let lines: Vec<&str> = help.lines().collect();
            assert!(lines.len() > 1 && lines[0] == "Examples:", "{name}: {help}");
            for line in &lines[1..] {
                assert!(line.starts_with(&format!("  {name}")), "{name}: {line}");
                let meant = line.split([' ', '\t']).filter(|word| !word.is_empty());
                let words: Vec<&str> = meant.take_while(|word| !["#", ">"].contains(word)).collect();
                if let Err(error) = Args::try_parse_from(words) {
                    panic!("{line}: {error}");
                }
            }
        }
    }
}

//! What a shell has to know to complete this command line, from its own definition.

use clap::{CommandFactory, ValueEnum};
use clap_complete::generate;
use clap_complete::shells::{Bash, Elvish, Fish, PowerShell, Zsh};

use super::Cli;

/// A shell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Shell {
    /// Into /etc/bash_completion.d/custom-mongo
    Bash,
    /// Into a folder of $fpath, as _custom-mongo
    Zsh,
    /// Into ~/.config/fish/completions/custom-mongo.fish
    Fish,
    /// Into rc.elv
    Elvish,
    /// Into $PROFILE
    Powershell,
}

/// The shell's script.
pub fn completions(shell: Shell) -> Vec<u8> {
    let mut command = Cli::command();
    let name = command.get_name().to_owned();
    let mut out = Vec::new();
    match shell {
        Shell::Bash => return bash(command, &name),
        Shell::Zsh => generate(Zsh, &mut command, name, &mut out),
        Shell::Fish => generate(Fish, &mut command, name, &mut out),
        Shell::Elvish => generate(Elvish, &mut command, name, &mut out),
        Shell::Powershell => generate(PowerShell, &mut command, name, &mut out),
    }
    out
}

/// `clap_complete` 4.6 gives a program with a hyphen two names in bash, one where commands are
/// recognised and one where they are completed. So it learns one without, and only what the shell
/// knows the program by has the hyphen.
fn bash(mut command: clap::Command, name: &str) -> Vec<u8> {
    let plain = name.replace('-', "_");
    let mut out = Vec::new();
    generate(Bash, &mut command, &plain, &mut out);
    let script = String::from_utf8_lossy(&out);
    let known_by = |name: &str| format!(" -o default {name}\n");
    script
        .replace(&known_by(&plain), &known_by(name))
        .into_bytes()
}

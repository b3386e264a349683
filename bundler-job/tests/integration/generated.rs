//! Pages that are made from the code. `make generate` writes them; here they fail when they differ.

use std::fmt::Write as _;

use clap::CommandFactory as _;
use s3bundler::args::Cli;
use s3bundler_contract::ExitCode;
use s3bundler_testbed::generated::assert_generated;

#[test]
fn the_command_line_reference_is_the_help() {
    let mut page =
        "# Command line\n\nMade from the program's own help by `make generate`.\n".to_owned();
    let mut cli = Cli::command().term_width(100).bin_name("s3bundler");
    cli.build();
    let mut section = |command: &clap::Command, name: &str| {
        let command = command.clone().mut_args(|arg| arg.hide_env_values(true));
        let help = command
            .bin_name(name)
            .term_width(100)
            .render_long_help()
            .to_string();
        let lines = help
            .lines()
            .map(str::trim_end)
            .collect::<Vec<_>>()
            .join("\n");
        write!(page, "\n## {name}\n\n```text\n{}\n```\n", lines.trim_end()).unwrap();
    };
    section(&cli, "s3bundler");
    for command in cli
        .get_subcommands()
        .filter(|command| command.get_name() != "help")
    {
        section(command, &format!("s3bundler {}", command.get_name()));
    }
    page.push_str("\n## Exit codes\n\n| code | meaning |\n|---|---|\n");
    for code in ExitCode::ALL {
        writeln!(page, "| {} | {} |", code.code(), code.meaning()).unwrap();
    }
    assert_generated("docs/cli.md", &page);
}

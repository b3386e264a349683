//! `s3bundler`: parse, run the command, tell how it ended.

use std::io::Write as _;

use clap::Parser as _;
use s3bundler::args::{Cli, Command};
use s3bundler::{commands, logging};
use s3bundler_common::failure::Failure;

fn main() {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            let _ = error.print();
            // 6 and not clap's 2, which stands for a local failure here.
            let usage = s3bundler_contract::ExitCode::Usage.code();
            std::process::exit(if error.use_stderr() { usage.into() } else { 0 });
        }
    };
    let code = match logging::init(&cli.global).and_then(|()| run(cli)) {
        Ok(()) => 0,
        Err(failure) => {
            // Not eprintln!, which panics if the reader of a pipe has ended.
            let _ = writeln!(std::io::stderr(), "s3bundler: {failure}");
            failure.exit.code()
        }
    };
    // Whatever still runs on a thread of its own is of no use any more.
    std::process::exit(code.into());
}

fn run(cli: Cli) -> Result<(), Failure> {
    cli.check()?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build();
    let runtime = runtime.expect("threads and an event queue can be had");
    runtime.block_on(async {
        match cli.command {
            Command::Plan(args) => commands::plan::plan(args, &cli.global).await,
            // By far the largest of them.
            Command::Run(args) => Box::pin(commands::run::run(args, &cli.global)).await,
            Command::Group(args) => commands::group::group(args, &cli.global).await,
            Command::Bundle(args) => commands::bundle::bundle(args, &cli.global).await,
            Command::Submit(args) => commands::submit::submit(args, &cli.global).await,
            Command::Verify(args) => commands::verify::verify(args, &cli.global).await,
            Command::Ls(args) => commands::ls::ls(args, &cli.global).await,
            Command::Find(args) => commands::find::find(args, &cli.global).await,
            Command::Compact(args) => commands::compact::compact(args, &cli.global).await,
        }
    })
}

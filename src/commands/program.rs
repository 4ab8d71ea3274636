//! The program: reads the command line, runs the command, ends with its exit code.

use std::io::Write as _;
use std::process::ExitCode;

use super::cli;
use super::error::CommandError;
use super::exit::Exit;
use super::interrupt::Interrupts;
use super::output::Output;
use super::room;

/// Keeps what is in memory from core dumps and from other processes of the same user. What cannot be had is done without: it is a second
/// line of defence.
fn close_memory() {
    #[cfg(target_os = "linux")]
    let _ = rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable);
}

/// Does what the command line of this process says; gives its exit code.
pub fn run() -> ExitCode {
    close_memory();
    room::spare_address_space();
    if std::env::args_os().len() <= 1 {
        // There is nowhere left to say that the terminal is closed.
        let _ = cli::parser().print_help();
        return Exit::Done.into();
    }
    let (cli, matches) = match cli::parse(std::env::args_os()) {
        Ok(parsed) => parsed,
        Err(error) => {
            // Help and version come this way too. There is nowhere left to say that the terminal is closed.
            let _ = if error.use_stderr() && cli::wants_json(std::env::args_os(), std::env::var_os("TGVAULT_JSON")) {
                std::io::stderr().write_all(CommandError::of_parser(&error).json_line().as_bytes())
            } else {
                error.print()
            };
            return if error.use_stderr() { Exit::Usage } else { Exit::Done }.into();
        }
    };
    let output = Output::new(&cli.global);
    room::watch(&output);
    if let Err(error) = room::ensure() {
        return fail(&output, &error);
    }
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(source) => return fail(&output, &CommandError::System { what: "cannot start", source }),
    };
    let ended = runtime.block_on(async {
        let mut interrupts = Interrupts::watch(&output)?;
        let heeded = interrupts.heeded();
        tokio::select! {
            ended = super::run(&cli, &matches, &output, heeded) => ended,
            () = interrupts.unheeded() => Ok(Exit::Interrupted),
        }
    });
    // What is left of a bar would stay in the terminal.
    let _ = output.bars().clear();
    // What still hangs in a system call must not keep the program from ending.
    runtime.shutdown_background();
    match ended {
        Ok(exit) => exit.into(),
        Err(error) => fail(&output, &error),
    }
}

fn fail(output: &Output, error: &CommandError) -> ExitCode {
    output.fail(error);
    error.exit().into()
}

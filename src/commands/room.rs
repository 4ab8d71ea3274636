//! Whether the system gives a run the threads and the memory that it cannot do without: asked before anything begins, since what runs
//! out of them later can only end.

use std::env;
use std::io;
use std::os::unix::process::CommandExt as _;
use std::panic;
use std::process;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{PoisonError, RwLock};
use std::thread;

use rustix::io::Errno;
use rustix::process::{Resource, getrlimit};

use super::error::CommandError;
use super::exit::Exit;
use super::output::Output;

/// Threads beside those that work on every core: who reads, who writes, who waits for the store.
const MORE_THREADS: usize = 8;

/// What a run takes at most, the stacks of its threads included, without a passphrase's memory.
const LEAST_BYTES: u64 = 192 * 1024 * 1024;

/// Where address space is limited, begins again with one pool of memory for all threads: the C library would reserve 64 MiB of it for
/// each. Comes back where there is no limit, or that was done.
pub fn spare_address_space() {
    const POOLS: &str = "MALLOC_ARENA_MAX";
    if getrlimit(Resource::As).current.is_none() || env::var_os(POOLS).is_some() {
        return;
    }
    let mut arguments = env::args_os();
    if let (Ok(program), Some(name)) = (env::current_exe(), arguments.next()) {
        // What keeps it from beginning again keeps it from nothing else.
        let _ = process::Command::new(program).arg0(name).args(arguments).env(POOLS, "1").exec();
    }
}

/// Asks for threads and memory, and gives them back.
///
/// # Errors
/// [`CommandError::Threads`] when there are too few, [`CommandError::Memory`] when there is too little.
pub fn ensure() -> Result<(), CommandError> {
    // Without a limit, the system promises whatever it is asked for.
    if getrlimit(Resource::As).current.is_some() {
        let length = usize::try_from(LEAST_BYTES).unwrap_or(usize::MAX);
        // Threads that are only tried take address space for good: where that is short, whoever cannot start says so.
        return Vec::<u8>::new().try_reserve_exact(length).map_err(|_| CommandError::Memory { needed_bytes: LEAST_BYTES });
    }
    let cores = thread::available_parallelism().map_or(1, usize::from);
    start_together(2 * cores + MORE_THREADS).map_err(CommandError::Threads)
}

/// Starts so many threads, all of them there at the same time, and lets them end.
fn start_together(count: usize) -> io::Result<()> {
    /// These do nothing.
    const STACK_BYTES: usize = 64 * 1024;
    let gate = RwLock::new(());
    thread::scope(|scope| {
        // Opened when the last is there, or one is not: then all of them end.
        let _closed = gate.write().unwrap_or_else(PoisonError::into_inner);
        for _ in 0..count {
            let _ = thread::Builder::new().stack_size(STACK_BYTES).spawn_scoped(scope, || drop(gate.read()))?;
        }
        Ok(())
    })
}

/// Makes a thread that cannot be started, or a file that cannot be opened, an error like others where a library takes it for a fault of
/// the program and panics.
pub fn watch(output: &Output) {
    let (output, usual, is_told) = (output.clone(), panic::take_hook(), AtomicBool::new(false));
    panic::set_hook(Box::new(move |panicked| {
        let Some(error) = panicked.payload_as_str().and_then(lack) else { return usual(panicked) };
        if !is_told.swap(true, Ordering::Relaxed) {
            output.fail(&error);
        }
        // Nothing that is stored needs a good end: it is as if the run was killed.
        process::exit(Exit::Failed.code().into())
    }));
}

/// What is lacking, by what the standard library and the runtime say when they panic for it.
fn lack(message: &str) -> Option<CommandError> {
    if message.starts_with("failed to spawn thread") || message.starts_with("OS can't spawn worker thread") {
        return Some(CommandError::Threads(io::ErrorKind::WouldBlock.into()));
    }
    message.contains("Too many open files").then(|| CommandError::Files(Errno::MFILE.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threads_are_there_together_and_end() {
        start_together(20).unwrap();
    }

    #[test]
    fn what_libraries_panic_for_is_known_by_its_words() {
        assert!(matches!(lack("OS can't spawn worker thread: Resource temporarily unavailable"), Some(CommandError::Threads(_))));
        assert!(matches!(
            lack("failed to create UnixStream: Os { code: 24, message: \"Too many open files\" }"),
            Some(CommandError::Files(_))
        ));
        assert!(lack("index out of bounds").is_none());
    }
}

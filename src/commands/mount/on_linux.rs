//! The same where there is FUSE.

use std::collections::HashSet;
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde::Serialize;

use super::Args;
use crate::commands::context::{Context, Keys};
use crate::commands::error::CommandError;
use crate::commands::exit::Exit;
use crate::commands::units::printable;
use crate::mount::Mount;
use crate::operations::Stop;
use crate::operations::mounted::Mounted;

/// What is told once each; after so many different things there is no end of it.
const TOLD: usize = 1000;

/// How long a request that is under way is waited for once the folder is unmounted.
const GRACE: Duration = Duration::from_secs(2);

#[derive(Serialize)]
struct Message<'a> {
    message_type: &'static str,
    folder: &'a str,
    snapshots: usize,
}

/// Shows the snapshots in the folder until Ctrl-C, or until somebody unmounts it.
///
/// # Errors
/// When no key fits, the folder cannot be used, or there is no FUSE.
pub async fn run(args: &Args, context: &Context) -> Result<Exit, CommandError> {
    check_fuse()?;
    check(&args.dir)?;
    let session = context.session(Keys::Needed).await?;
    let output = context.output.clone();
    let is_damaged = Arc::new(AtomicBool::new(false));
    let is_incomplete = Arc::new(AtomicBool::new(false));
    let told: Mutex<HashSet<String>> = Mutex::default();
    let tell = {
        let (output, is_damaged, is_incomplete) = (output.clone(), Arc::clone(&is_damaged), Arc::clone(&is_incomplete));
        move |what: &str, is_damage: bool| {
            if is_damage { &is_damaged } else { &is_incomplete }.store(true, Ordering::Relaxed);
            let mut told = told.lock().unwrap_or_else(PoisonError::into_inner);
            if told.len() < TOLD && told.insert(what.to_owned()) {
                output.warn(what);
            }
        }
    };
    let mounted = Arc::new(Mounted::open(&session, &args.select.selection(), Box::new(tell)).await?);
    let snapshots = mounted.snapshot_count();
    // As root everything is whose it was; to others it would be nobody's they know.
    let user = (rustix::process::geteuid(), rustix::process::getegid());
    let owner = (!user.0.is_root()).then(|| (user.0.as_raw(), user.1.as_raw()));
    let mount = Mount::new(mounted, &args.dir, owner).map_err(refused)?;
    let (unmounter, serve) = mount.split();
    let mut serving = tokio::task::spawn_blocking(serve);
    let folder = args.dir.to_string_lossy();
    if output.is_json() {
        output.json(&Message { message_type: "mounted", folder: &folder, snapshots })?;
    } else {
        output.line(&printable(&folder))?;
    }
    output.say("mounted; Ctrl-C unmounts it");
    let stop = context.heeded.stop();
    let failed = |source| CommandError::System { what: "cannot go on with the mount", source };
    let ended = tokio::select! {
        ended = &mut serving => Some(ended),
        () = wanted(&stop) => None,
    };
    let ended = match ended {
        Some(ended) => ended,
        None => {
            let unmounted = tokio::task::spawn_blocking(move || unmounter.unmount()).await;
            unmounted.map_err(|error| failed(io::Error::other(error)))?.map_err(|source| CommandError::System {
                what: "cannot unmount the folder; end what uses it, then run `fusermount3 -u` with it",
                source,
            })?;
            // Whoever still has a file open is not waited for.
            tokio::time::timeout(GRACE, serving).await.unwrap_or(Ok(Ok(())))
        }
    };
    ended.map_err(|error| failed(io::Error::other(error)))?.map_err(failed)?;
    output.say("unmounted");
    Ok(Exit::after(is_damaged.load(Ordering::Relaxed), is_incomplete.load(Ordering::Relaxed)))
}

async fn wanted(stop: &Stop) {
    while !stop.is_wanted() {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// Checks for the device that all of it hangs on.
fn check_fuse() -> Result<(), CommandError> {
    let why = "this machine has no FUSE: there is no /dev/fuse";
    Path::new("/dev/fuse").metadata().map(|_| ()).map_err(|error| CommandError::NoFuse { why: why.to_owned(), source: Some(error) })
}

/// Checks the folder: what is mounted over is hidden.
fn check(dir: &Path) -> Result<(), CommandError> {
    let shown = dir.to_string_lossy().into_owned();
    let usage = |what: String, hint: String| CommandError::Usage { what, hint: Some(hint) };
    match dir.read_dir().map(|mut entries| entries.next().is_none()) {
        Ok(true) => Ok(()),
        Ok(false) => Err(usage(
            format!("the folder '{}' is not empty, and a mount would hide what is in it", printable(&shown)),
            "choose an empty folder".to_owned(),
        )),
        Err(error) if error.kind() == io::ErrorKind::NotConnected => Err(usage(
            format!("'{}' still has the mount of a run that was killed", printable(&shown)),
            format!("run `fusermount3 -u {}`, then this command again", printable(&shown)),
        )),
        Err(error) => Err(CommandError::file("read", dir, error)),
    }
}

fn refused(error: io::Error) -> CommandError {
    let why = match error.kind() {
        io::ErrorKind::NotFound => "the program fusermount3 is missing, which mounts for users who are not root",
        io::ErrorKind::PermissionDenied => "the system does not let this user mount",
        _ => "the system did not mount the folder",
    };
    CommandError::NoFuse { why: why.to_owned(), source: Some(error) }
}

//! Requests to stop: Ctrl-C, the end of a session, and what ends a batch job.

use std::process::ExitCode;
use std::sync::atomic::{AtomicI32, Ordering};
use std::thread;
use std::time::Duration;

/// Number of the signal that asked for a stop; 0 before.
static ASKED: AtomicI32 = AtomicI32::new(0);

/// In its place where the time is over.
const TIME: i32 = -1;

/// Exit code of what was stopped and saved, whoever asked for it: the same command goes on.
const STOPPED: u8 = 130;

/// Makes Ctrl-C, SIGTERM, SIGHUP and SIGUSR1 ask for a stop after the current step. A second Ctrl-C ends the process at once.
/// A signal that is ignored, as `nohup` does, stays so.
#[cfg(unix)]
#[allow(unsafe_code)]
pub(crate) fn stop_when_asked() -> anyhow::Result<()> {
    use std::io::Error;

    use anyhow::ensure;

    extern "C" fn ask(signal: libc::c_int) {
        let before = ASKED.swap(signal, Ordering::Relaxed);
        let again = before == libc::SIGINT && signal == libc::SIGINT;
        let said: &[u8] = match signal {
            libc::SIGINT => b"\nstopping after this step (press again to stop at once)\n",
            _ => b"\nstopping after this step\n",
        };
        // SAFETY: both may be called in a handler.
        unsafe {
            if again {
                libc::_exit(STOPPED.into());
            }
            libc::write(2, said.as_ptr().cast(), said.len());
        }
    }

    for signal in [libc::SIGINT, libc::SIGTERM, libc::SIGHUP, libc::SIGUSR1] {
        // SAFETY: the handler only stores a number and calls what may be called there.
        let before = unsafe { libc::signal(signal, ask as *const () as libc::sighandler_t) };
        ensure!(
            before != libc::SIG_ERR,
            "cannot listen for signal {signal}: {}",
            Error::last_os_error()
        );
        if before == libc::SIG_IGN {
            // SAFETY: as it was.
            unsafe { libc::signal(signal, libc::SIG_IGN) };
        }
    }
    Ok(())
}

/// Makes Ctrl-C ask for a stop after the current step; a second one ends the process at once.
#[cfg(not(unix))]
pub(crate) fn stop_when_asked() -> anyhow::Result<()> {
    use anyhow::Context as _;

    ctrlc::set_handler(|| {
        if ASKED.swap(2, Ordering::Relaxed) != 0 {
            std::process::exit(STOPPED.into());
        }
        eprintln!("\nstopping after this step (press again to stop at once)");
    })
    .context("cannot listen for Ctrl-C")
}

/// Whether a stop was asked for.
pub(crate) fn asked() -> bool {
    ASKED.load(Ordering::Relaxed) != 0
}

/// Asks for a stop after so long.
pub(crate) fn stop_after(time: Duration) {
    thread::spawn(move || {
        thread::sleep(time);
        if ASKED.swap(TIME, Ordering::Relaxed) == 0 {
            eprintln!("the time is over: stopping after this step");
        }
    });
}

/// Exit code of what was stopped and saved.
pub(crate) fn exit_code() -> ExitCode {
    ExitCode::from(STOPPED)
}

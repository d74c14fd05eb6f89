//! Named steps at which a test kills a process of a debug build, to see what is left.

/// Environment variable that names the step, such as `epoch.voted`. Read by debug builds only.
pub const DIE_AT: &str = "ORACLE_DIE_AT";

/// Dies here when a test says so.
#[cfg(debug_assertions)]
pub(crate) fn step(name: &str) {
    if std::env::var(DIE_AT).is_ok_and(|at| at == name) {
        die();
    }
}

/// Nothing in a release build.
#[cfg(not(debug_assertions))]
pub(crate) fn step(_: &str) {}

/// Ends this process as `kill -9` does: by SIGKILL, without a word, a destructor or a flush.
pub fn die() -> ! {
    #[cfg(unix)]
    let _ = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
    // Where there is no such signal.
    std::process::abort()
}

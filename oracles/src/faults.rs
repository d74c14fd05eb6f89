//! Named steps at which a test kills a process of a debug build, to see what is left.

/// Environment variable that names the step, such as `epoch.voted`. Read by debug builds only.
pub const DIE_AT: &str = "ORACLE_DIE_AT";

/// Dies here, without a word and without clean-up, when a test says so.
#[cfg(debug_assertions)]
pub(crate) fn step(name: &str) {
    if std::env::var(DIE_AT).is_ok_and(|at| at == name) {
        std::process::abort();
    }
}

/// Nothing in a release build.
#[cfg(not(debug_assertions))]
pub(crate) fn step(_: &str) {}

//! The `wallet` program: a seed that its owner holds.
//!
//! The seed is read from standard input or from a file that only its owner can read, never from the command line, and is
//! printed by `new` alone. What changes is in one state file, sealed under the seed ([`crate::wallet::backup`]).

mod input;
mod keys;
mod state;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
use contracts::application::{Answer, Approval, ProofClaims, wallet_proof};
use contracts::encoding::Bytes32;
use contracts::jwk::ed25519_key;
use oracles::clock::Clock;

use crate::cli::program;
use crate::wallet::backup::{Kind, MAX_BACKUP, Saved};
use crate::wallet::{Entropy, GAP_LIMIT, Marks, Use, Wallet};
use input::{read_capped, read_words};
use keys::KeyChoice;
use state::{State, write_new};

/// Largest approval, in bytes.
const MAX_APPROVAL: usize = 16 << 10;

/// Holds the keys of one owner. The seed is 24 words, read from standard input unless --words names a file.
#[derive(Debug, Parser)]
#[command(name = "wallet", version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Args)]
struct Held {
    /// File of the 24 words, of mode 0600 or stricter; standard input if not given.
    #[arg(long)]
    words: Option<PathBuf>,
    /// File of the marks of used indexes; sealed under the seed.
    #[arg(long)]
    state: PathBuf,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Makes a seed and its state file, and prints the 24 words: write them on paper.
    New {
        /// State file to make.
        #[arg(long)]
        state: PathBuf,
    },
    /// Makes the state file of a seed that was in use, from the words alone: skips the gap limit.
    Restore {
        #[command(flatten)]
        held: Held,
        /// Indexes of each use to skip.
        #[arg(long, default_value_t = GAP_LIMIT)]
        gap: u32,
    },
    /// Draws a fresh key and prints its public half. The index is used up first.
    Address {
        #[command(flatten)]
        held: Held,
        #[command(flatten)]
        choice: KeyChoice,
    },
    /// Prints public keys again: of an index that was drawn, or of a registration.
    Keys {
        #[command(flatten)]
        held: Held,
        #[command(flatten)]
        choice: KeyChoice,
        /// The index.
        #[arg(long, default_value_t = 0)]
        index: u32,
    },
    /// Prints the proof that files an approved decision: ES256K by the token's key, over the owner's signed YES.
    Approve {
        #[command(flatten)]
        held: Held,
        /// Index of the confirmation key that the token names.
        #[arg(long)]
        index: u32,
        /// The agency.
        #[arg(long)]
        audience: String,
        /// The reply, as the notifier signed it (JSON).
        #[arg(long)]
        approval: PathBuf,
        /// The notifier's Ed25519 key, base64url.
        #[arg(long)]
        notifier_key: String,
    },
    /// Writes an encrypted backup of the marks to a new file.
    Backup {
        #[command(flatten)]
        held: Held,
        /// File to make.
        #[arg(long)]
        out: PathBuf,
    },
    /// Takes up a backup: every mark rises to the backup's and the gap limit beyond, and none goes back.
    Recover {
        #[command(flatten)]
        held: Held,
        /// The backup.
        #[arg(long)]
        backup: PathBuf,
        /// Indexes of each use that may have been used since the backup.
        #[arg(long, default_value_t = GAP_LIMIT)]
        gap: u32,
    },
}

/// Parses arguments (the first is the program's name) and does what they say.
///
/// What was asked for goes to standard output, errors go to standard error.
pub fn run_wallet<I, T>(arguments: I) -> ExitCode
where
    I: IntoIterator<Item = T>,
    T: Into<OsString> + Clone,
{
    program("wallet", arguments, |arguments: Arguments| {
        run(arguments.command)
    })
}

fn seed(words: Option<&Path>) -> Result<Entropy, String> {
    let words = read_words(words)?;
    Entropy::from_words(words.trim()).map_err(|error| error.to_string())
}

fn wallet(held: &Held) -> Result<Wallet, String> {
    let entropy = seed(held.words.as_deref())?;
    Wallet::new(&entropy).map_err(|error| error.to_string())
}

fn open_backup(path: &Path, wallet: &Wallet) -> Result<Saved, String> {
    let file = read_capped(path, MAX_BACKUP)?;
    Saved::open(wallet, Kind::Backup, &file)
        .map_err(|error| format!("--backup {}: {error}", path.display()))
}

/// The seed of a file or of standard input, and marks above all that a backup, or none, can know of.
///
/// # Errors
/// A line to act on.
pub(crate) fn read(
    words: Option<&Path>,
    backup: Option<&Path>,
    gap: u32,
) -> Result<(Entropy, Marks), String> {
    let entropy = seed(words)?;
    let wallet = Wallet::new(&entropy).map_err(|error| error.to_string())?;
    let mut marks = match backup {
        Some(path) => open_backup(path, &wallet)?.marks,
        None => Marks::default(),
    };
    marks.skip(gap);
    Ok((entropy, marks))
}

fn fresh(marks: Marks) -> Saved {
    Saved {
        backups: 0,
        saved_at: Clock::default().now(),
        marks,
    }
}

fn run(command: Command) -> Result<(), String> {
    match command {
        Command::New { state } => {
            let entropy = Entropy::generate();
            let wallet = Wallet::new(&entropy).map_err(|error| error.to_string())?;
            // The state first: a seed that was shown is never without marks.
            State::create(&state, &wallet, &fresh(Marks::default()))?;
            println!("{}", *entropy.words());
            Ok(())
        }
        Command::Restore { held, gap } => {
            let wallet = wallet(&held)?;
            State::create(&held.state, &wallet, &fresh(Marks::unknown(gap)))
        }
        Command::Address { held, choice } => {
            let use_ = choice.drawn()?;
            let wallet = wallet(&held)?;
            let mut state = State::open(&held.state, &wallet)?;
            let taken = state.saved.marks.take(use_);
            let index = taken.map_err(|error| error.to_string())?;
            state.store(&wallet)?;
            println!("{}", keys::describe(&wallet, use_, index)?);
            Ok(())
        }
        Command::Keys {
            held,
            choice,
            index,
        } => {
            let use_ = choice.any()?;
            let wallet = wallet(&held)?;
            check_used(&State::open(&held.state, &wallet)?, use_, index)?;
            println!("{}", keys::describe(&wallet, use_, index)?);
            Ok(())
        }
        Command::Approve {
            held,
            index,
            audience,
            approval,
            notifier_key,
        } => {
            let approval = read_approval(&approval, &notifier_key)?;
            let wallet = wallet(&held)?;
            check_used(
                &State::open(&held.state, &wallet)?,
                Use::Confirmation,
                index,
            )?;
            let claims = ProofClaims {
                aud: audience,
                jti: approval.decision_id,
                approval: approval.hash(),
                iat: Clock::default().now(),
            };
            let key = wallet.confirmation(index);
            let key = key.map_err(|error| error.to_string())?;
            println!("{}", key.with(|secret, _| wallet_proof(&claims, secret)));
            Ok(())
        }
        Command::Backup { held, out } => {
            let wallet = wallet(&held)?;
            let mut state = State::open(&held.state, &wallet)?;
            state.saved.backups = state.saved.backups.saturating_add(1);
            state.store(&wallet)?;
            let file = state.saved.seal(&wallet, Kind::Backup);
            write_new(&out, &file.map_err(|error| error.to_string())?)
        }
        Command::Recover { held, backup, gap } => {
            let wallet = wallet(&held)?;
            let mut saved = open_backup(&backup, &wallet)?;
            saved.marks.skip(gap);
            if !held.state.exists() {
                return State::create(&held.state, &wallet, &saved);
            }
            let mut state = State::open(&held.state, &wallet)?;
            if state.saved.marks.merge(&saved.marks) {
                eprintln!("wallet: the backup is older than the state; the state's marks are kept");
            }
            state.saved.backups = state.saved.backups.max(saved.backups);
            state.store(&wallet)
        }
    }
}

/// A key that nobody was given yet is not shown: it could be used before its index is.
fn check_used(state: &State, use_: Use, index: u32) -> Result<(), String> {
    let drawn = Use::drawn().iter().any(|it| it.counter() == use_.counter());
    if drawn && index >= state.saved.marks.next(use_) {
        return Err(format!(
            "--index {index}: not used yet; draw a fresh key with `wallet address`"
        ));
    }
    Ok(())
}

/// A YES that the notifier signed.
fn read_approval(path: &Path, notifier_key: &str) -> Result<Approval, String> {
    let key = Bytes32::parse(notifier_key)
        .map_err(|error| error.to_string())
        .and_then(|key| ed25519_key(&key.0).map_err(|error| error.to_string()))
        .map_err(|error| format!("--notifier-key: {error}"))?;
    let name = path.display();
    let approval: Approval = serde_json::from_slice(&read_capped(path, MAX_APPROVAL)?)
        .map_err(|error| format!("--approval {name}: {error}"))?;
    if !approval.verifies(&key) {
        return Err(format!("--approval {name}: not signed by the notifier"));
    }
    if approval.answer != Answer::Yes {
        return Err(format!("--approval {name}: the owner did not answer YES"));
    }
    Ok(approval)
}

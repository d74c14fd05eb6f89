//! Checkpoints of the log: C2SP `tlog-checkpoint` bodies in C2SP signed notes, under the ledger committee's Ed25519 key.
//!
//! The note's key name is the log's origin. A checkpoint has exactly one signature line here, the committee's, and one
//! spelling: re-encoding what was read must give the same bytes.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::VerifyingKey;
use signed_note::{Signature as NoteSignature, is_key_name_valid, key_id};

use crate::encoding::{Bytes, Bytes32};
use crate::token::{MAX_INDEX, MAX_NAME_BYTES, ed25519_verifies};

/// Most bytes of a checkpoint that are parsed.
pub const MAX_CHECKPOINT_BYTES: usize = 1024;
/// Signature type byte of Ed25519 in a note key (C2SP signed-note).
const ED25519: u8 = 1;

/// A checkpoint that proves nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CheckpointError {
    /// Longer than is parsed.
    #[error("checkpoint has {0} bytes, more than the {MAX_CHECKPOINT_BYTES} that are read")]
    TooLarge(usize),
    /// Not the one spelling of a checkpoint with one signature.
    #[error("checkpoint: {0}")]
    Form(&'static str),
    /// Another log's.
    #[error("checkpoint origin: {got:?} is not the trusted log {expected:?}")]
    Origin {
        /// The log trusted.
        expected: String,
        /// The origin line.
        got: String,
    },
    /// The signature line names another key.
    #[error("checkpoint signature: made under another key than the trusted ledger key")]
    Key,
    /// The signature does not verify.
    #[error("checkpoint signature: does not verify under the ledger committee's key")]
    Signature,
}

/// State of the log: its first `size` entries have this Merkle root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    /// Unique name of the log; also the note's key name. No white space, no plus sign.
    pub origin: String,
    /// Entries.
    pub size: u64,
    /// RFC 6962 root.
    pub root: Bytes32,
}

/// Whether a name can be a log's origin and key name.
pub fn is_origin(name: &str) -> bool {
    name.len() <= MAX_NAME_BYTES
        && is_key_name_valid(name)
        && name.bytes().all(|byte| byte.is_ascii_graphic())
}

/// The checkpoint body: origin, size and root, a line each. These are the bytes to sign.
pub fn body(origin: &str, size: u64, root: &Bytes32) -> String {
    format!("{origin}\n{size}\n{}\n", STANDARD.encode(root))
}

fn note_key_id(origin: &str, key: &VerifyingKey) -> u32 {
    let mut typed = vec![ED25519];
    typed.extend_from_slice(key.as_bytes());
    key_id(origin, &typed)
}

impl Checkpoint {
    /// The bytes to sign.
    pub fn body(&self) -> String {
        body(&self.origin, self.size, &self.root)
    }

    /// The signed note.
    ///
    /// # Errors
    /// [`CheckpointError::Form`] if the origin cannot be a key name.
    pub fn encode(
        &self,
        key: &VerifyingKey,
        signature: &Bytes<64>,
    ) -> Result<String, CheckpointError> {
        if !is_origin(&self.origin) {
            return Err(CheckpointError::Form("origin: not a key name"));
        }
        let line = NoteSignature::new(
            self.origin.clone(),
            note_key_id(&self.origin, key),
            signature.0.to_vec(),
        )
        .map_err(|_| CheckpointError::Form("origin: not a key name"))?
        .to_bytes();
        let line = String::from_utf8(line)
            .map_err(|_| CheckpointError::Form("signature line: not UTF-8"))?;
        Ok(format!("{}\n{line}", self.body()))
    }

    /// Reads and verifies a signed checkpoint of the log `origin` under its committee's key.
    ///
    /// # Errors
    /// [`CheckpointError`].
    pub fn open(note: &str, origin: &str, key: &VerifyingKey) -> Result<Self, CheckpointError> {
        if note.len() > MAX_CHECKPOINT_BYTES {
            return Err(CheckpointError::TooLarge(note.len()));
        }
        let (text, signatures) = note
            .split_once("\n\n")
            .ok_or(CheckpointError::Form("no blank line before the signature"))?;
        let checkpoint = parse_body(text)?;
        if checkpoint.origin != origin {
            return Err(CheckpointError::Origin {
                expected: origin.to_owned(),
                got: checkpoint.origin,
            });
        }
        let line = signatures
            .strip_suffix('\n')
            .ok_or(CheckpointError::Form("does not end in a newline"))?;
        let line = NoteSignature::from_bytes(line.as_bytes())
            .map_err(|_| CheckpointError::Form("expected exactly one signature line"))?;
        if line.id() != note_key_id(origin, key) {
            return Err(CheckpointError::Key);
        }
        let signature = Bytes::from_slice(line.signature())
            .map_err(|_| CheckpointError::Form("signature: expected 64 bytes"))?;
        if !ed25519_verifies(key, checkpoint.body().as_bytes(), &signature) {
            return Err(CheckpointError::Signature);
        }
        // Catches whatever the parsers above let pass: another name on the signature line, say.
        if checkpoint.encode(key, &signature)? != note {
            return Err(CheckpointError::Form("not in canonical form"));
        }
        Ok(checkpoint)
    }
}

fn parse_body(text: &str) -> Result<Checkpoint, CheckpointError> {
    let mut lines = text.split('\n');
    let (Some(origin), Some(size), Some(root), None) =
        (lines.next(), lines.next(), lines.next(), lines.next())
    else {
        return Err(CheckpointError::Form("body: expected three lines"));
    };
    let bad_size = CheckpointError::Form("size: expected a decimal number below 2^53");
    let number: u64 = size.parse().map_err(|_| bad_size.clone())?;
    if number > MAX_INDEX || number.to_string() != size {
        return Err(bad_size);
    }
    let root = STANDARD
        .decode(root)
        .ok()
        .and_then(|root| Bytes::from_slice(&root).ok())
        .ok_or(CheckpointError::Form("root: expected base64 of 32 bytes"))?;
    Ok(Checkpoint {
        origin: origin.to_owned(),
        size: number,
        root,
    })
}

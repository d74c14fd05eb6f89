//! What a self-held wallet knows beyond its seed, as one sealed file: the marks of used indexes.
//!
//! Form: a line that names kind and version, then a line of base64url (see [`crate::seal`]) that opens under a key of the
//! seed, `m / 1936224304' / 9' / 255' / 0'`. Inside is JSON, filled up with spaces to a multiple of 4 KiB so that its
//! length tells nothing. The first line is authenticated with the rest.

use contracts::units::UnixTime;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::{Marks, Wallet, WalletError};

/// Largest file, in bytes.
pub const MAX_BACKUP: usize = 64 << 10;
/// The length of what is sealed is a multiple of this, in bytes.
const BLOCK: usize = 4 << 10;

/// What a file is for. One kind does not open as the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Kept current; its marks are exact.
    State,
    /// Of one instant; indexes may have been used since.
    Backup,
}

impl Kind {
    fn header(self) -> &'static str {
        match self {
            Self::State => "shp wallet state 1\n",
            Self::Backup => "shp wallet backup 1\n",
        }
    }
}

/// A file that is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BackupError {
    /// Longer than [`MAX_BACKUP`].
    #[error("longer than {MAX_BACKUP} bytes: not a file of a wallet")]
    TooLarge,
    /// Another first line: another kind of file, or another version.
    #[error("the first line is not that of a wallet's file of this kind and version")]
    Header,
    /// Does not open.
    #[error("does not open: it is another seed's, was cut off, or was changed")]
    Sealed,
    /// Opens, and holds what this version cannot have written.
    #[error("opens, but holds marks that this version does not know")]
    Content,
    /// The seed has no key for it.
    #[error(transparent)]
    Wallet(#[from] WalletError),
}

/// What a file holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Saved {
    /// Backups made so far, this one included.
    pub backups: u64,
    /// When the file was written, by the clock of the device.
    pub saved_at: UnixTime,
    /// The marks.
    pub marks: Marks,
}

impl Saved {
    /// The file of these contents.
    ///
    /// # Errors
    /// [`WalletError`].
    ///
    /// # Panics
    /// Never: the contents are plain JSON.
    pub fn seal(&self, wallet: &Wallet, kind: Kind) -> Result<String, WalletError> {
        let json = serde_json::to_vec(self).expect("numbers and short strings are plain JSON");
        let mut json = Zeroizing::new(json);
        let padded = json.len().next_multiple_of(BLOCK);
        json.resize(padded, b' ');
        let header = kind.header();
        let sealed = wallet.backup_key()?.seal(&[header.as_bytes()], &json);
        Ok(format!("{header}{sealed}\n"))
    }

    /// Reads a file.
    ///
    /// # Errors
    /// [`BackupError`].
    pub fn open(wallet: &Wallet, kind: Kind, file: &[u8]) -> Result<Self, BackupError> {
        if file.len() > MAX_BACKUP {
            return Err(BackupError::TooLarge);
        }
        let header = kind.header();
        let sealed = file
            .strip_prefix(header.as_bytes())
            .ok_or(BackupError::Header)?;
        let sealed = sealed.strip_suffix(b"\n").ok_or(BackupError::Sealed)?;
        let sealed = std::str::from_utf8(sealed).map_err(|_| BackupError::Sealed)?;
        let json = wallet
            .backup_key()?
            .open(&[header.as_bytes()], sealed)
            .map_err(|_| BackupError::Sealed)?;
        let saved: Self = serde_json::from_slice(&json).map_err(|_| BackupError::Content)?;
        if !saved.marks.are_valid() {
            return Err(BackupError::Content);
        }
        Ok(saved)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wallet::{Entropy, GAP_LIMIT, Use};

    fn wallet() -> Wallet {
        Wallet::new(&Entropy::generate()).unwrap()
    }

    fn saved() -> Saved {
        let mut marks = Marks::default();
        marks.take(Use::Confirmation).unwrap();
        Saved {
            backups: 1,
            saved_at: UnixTime(5),
            marks,
        }
    }

    #[test]
    fn a_backup_opens_under_its_seed() {
        let wallet = wallet();
        let file = saved().seal(&wallet, Kind::Backup).unwrap();
        assert_eq!(
            Saved::open(&wallet, Kind::Backup, file.as_bytes()),
            Ok(saved())
        );
        assert_ne!(file, saved().seal(&wallet, Kind::Backup).unwrap());
        let mut many = saved();
        many.marks.skip(GAP_LIMIT);
        let longer = many.seal(&wallet, Kind::Backup).unwrap();
        assert_eq!(file.len(), longer.len());
    }

    #[test]
    fn attack_another_seeds_backup_does_not_open() {
        let file = saved().seal(&wallet(), Kind::Backup).unwrap();
        let opened = Saved::open(&wallet(), Kind::Backup, file.as_bytes());
        assert_eq!(opened, Err(BackupError::Sealed));
    }

    #[test]
    fn attack_an_old_backup_does_not_pass_for_the_current_state() {
        let wallet = wallet();
        let file = saved().seal(&wallet, Kind::Backup).unwrap();
        let opened = Saved::open(&wallet, Kind::State, file.as_bytes());
        assert_eq!(opened, Err(BackupError::Header));
        let renamed = file.replace("backup", "state");
        let opened = Saved::open(&wallet, Kind::State, renamed.as_bytes());
        assert_eq!(opened, Err(BackupError::Sealed));
    }

    #[test]
    fn attack_a_cut_off_or_edited_backup_does_not_open() {
        let wallet = wallet();
        let file = saved().seal(&wallet, Kind::Backup).unwrap().into_bytes();
        for length in (0..file.len()).step_by(97).chain([file.len() - 1]) {
            assert!(Saved::open(&wallet, Kind::Backup, &file[..length]).is_err());
        }
        for place in (0..file.len()).step_by(89).chain(0..64) {
            let mut edited = file.clone();
            edited[place] ^= 1;
            assert!(Saved::open(&wallet, Kind::Backup, &edited).is_err());
        }
        let longer = [&file[..], b"A"].concat();
        assert!(Saved::open(&wallet, Kind::Backup, &longer).is_err());
    }

    #[test]
    fn attack_a_file_over_the_cap_is_not_parsed() {
        let wallet = wallet();
        let mut file = saved().seal(&wallet, Kind::Backup).unwrap();
        file.push_str(&"A".repeat(MAX_BACKUP));
        let opened = Saved::open(&wallet, Kind::Backup, file.as_bytes());
        assert_eq!(opened, Err(BackupError::TooLarge));
    }

    #[test]
    fn a_later_versions_backup_or_marks_out_of_bounds_are_refused() {
        let wallet = wallet();
        let file = saved().seal(&wallet, Kind::Backup).unwrap();
        let later = file.replacen("backup 1", "backup 2", 1);
        let opened = Saved::open(&wallet, Kind::Backup, later.as_bytes());
        assert_eq!(opened, Err(BackupError::Header));
        for marks in [
            r#"{"floor":2147483649,"next":{}}"#,
            r#"{"floor":0,"next":{"2/255":2147483649}}"#,
            r#"{"floor":0,"next":{"99/0":1}}"#,
            r#"{"floor":0,"next":{},"more":1}"#,
        ] {
            let json = format!(r#"{{"backups":0,"saved_at":0,"marks":{marks}}}"#);
            let header = Kind::Backup.header();
            let key = wallet.backup_key().unwrap();
            let sealed = key.seal(&[header.as_bytes()], json.as_bytes());
            let file = format!("{header}{sealed}\n");
            let opened = Saved::open(&wallet, Kind::Backup, file.as_bytes());
            assert_eq!(opened, Err(BackupError::Content), "{marks}");
        }
    }
}

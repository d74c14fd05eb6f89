//! Reading files and the seed, capped.

use std::io::Read;
use std::path::Path;

use zeroize::Zeroizing;

/// Longest text of 24 words, in bytes: the longest English word of BIP-39 has 8 letters.
const MAX_WORDS: usize = 1 << 10;

fn read(source: impl Read, cap: usize, name: &str) -> Result<Zeroizing<Vec<u8>>, String> {
    // Of its full size from the start: a vector that grows leaves copies behind.
    let mut bytes = Zeroizing::new(Vec::with_capacity(cap + 1));
    source
        .take(cap as u64 + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| format!("{name}: {error}"))?;
    if bytes.len() > cap {
        return Err(format!("{name}: longer than {cap} bytes"));
    }
    Ok(bytes)
}

/// Reads a file of at most `cap` bytes.
pub(super) fn read_capped(path: &Path, cap: usize) -> Result<Zeroizing<Vec<u8>>, String> {
    let name = path.display().to_string();
    let file = std::fs::File::open(path).map_err(|error| format!("{name}: {error}"))?;
    read(file, cap, &name)
}

/// Reads the words from a file that nobody else may read, or from standard input.
pub(super) fn read_words(path: Option<&Path>) -> Result<Zeroizing<String>, String> {
    let bytes = match path {
        None => read(std::io::stdin().lock(), MAX_WORDS, "standard input")?,
        Some(path) => {
            let name = format!("--words {}", path.display());
            let file = std::fs::File::open(path).map_err(|error| format!("{name}: {error}"))?;
            private(&file).map_err(|problem| format!("{name}: {problem}"))?;
            read(file, MAX_WORDS, &name)?
        }
    };
    let text = std::str::from_utf8(&bytes).map_err(|_| "the seed is not text".to_owned())?;
    Ok(Zeroizing::new(text.to_owned()))
}

#[cfg(unix)]
fn private(file: &std::fs::File) -> Result<(), String> {
    use std::os::unix::fs::MetadataExt as _;
    let metadata = file.metadata().map_err(|error| error.to_string())?;
    let mode = metadata.mode() & 0o777;
    if !metadata.is_file() || mode & 0o077 != 0 {
        return Err(format!(
            "mode {mode:04o}: others may read it; make it a file of mode 0600"
        ));
    }
    Ok(())
}

#[cfg(not(unix))]
fn private(_: &std::fs::File) -> Result<(), String> {
    Ok(())
}

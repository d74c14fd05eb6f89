//! RFC 4180 reading of the embedded tables.

/// Splits a table into its header and rows of as many fields.
///
/// # Errors
/// The line at which a quote is left open or the number of fields differs from the header's.
pub fn rows(text: &str) -> Result<Vec<Vec<String>>, usize> {
    let (mut rows, mut row, mut field) = (Vec::new(), Vec::new(), String::new());
    let (mut quoted, mut line) = (false, 1);
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        match (quoted, character) {
            (true, '"') if characters.peek() == Some(&'"') => {
                characters.next();
                field.push('"');
            }
            (_, '"') => quoted = !quoted,
            (false, ',') => row.push(std::mem::take(&mut field)),
            (false, '\n') => {
                row.push(std::mem::take(&mut field));
                rows.push(std::mem::take(&mut row));
                line += 1;
                let width = rows.first().map(Vec::len);
                if rows.last().map(Vec::len) != width {
                    return Err(line - 1);
                }
            }
            (_, other) => field.push(other),
        }
    }
    if quoted || !row.is_empty() || !field.is_empty() {
        return Err(line);
    }
    Ok(rows)
}

#[cfg(test)]
mod tests {
    use super::rows;

    #[test]
    fn quotes_commas_and_short_rows() {
        let read = rows("a,b\n\"x, \"\"y\"\"\",2\n").unwrap();
        assert_eq!(read, [["a", "b"], ["x, \"y\"", "2"]]);
        assert_eq!(rows("a,b\n1\n"), Err(2));
        assert_eq!(rows("a,b\n1,\"2\n"), Err(2));
        assert_eq!(rows("a,b\n1,2"), Err(2));
    }
}

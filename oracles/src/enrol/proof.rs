//! Identity proofing: claims against the records of every configured source, unanimously.

use std::collections::BTreeMap;

use contracts::handle::MAX_SOURCE_KEY_LENGTH;
use contracts::ids::Domain;
use contracts::units::Day;
use futures::future::try_join_all;
use zeroize::Zeroize as _;

use super::EnrolError;
use super::config::EnrolConfig;
use crate::sources::{Record, Sources};
use crate::wire::enrol::{Claims, Ssn};

/// Source keys of the domains that the person consents to. Wiped on drop; no `Debug`: they identify a person.
#[derive(Default)]
pub(super) struct SourceKeys(BTreeMap<Domain, BTreeMap<String, String>>);

impl SourceKeys {
    /// The keys of one domain; none without consent.
    pub(super) fn of(&self, domain: Domain) -> BTreeMap<String, String> {
        self.0.get(&domain).cloned().unwrap_or_default()
    }
}

impl Drop for SourceKeys {
    fn drop(&mut self) {
        for value in self.0.values_mut().flat_map(BTreeMap::values_mut) {
            value.zeroize();
        }
    }
}

/// Holds the claims against every record and collects the source keys of the domains consented to.
///
/// # Errors
/// [`EnrolError::NotProofed`] alike for no record, another name and another birth date, so that it helps nobody guess;
/// [`EnrolError::Source`] when a source failed.
pub(super) async fn proof(
    config: &EnrolConfig,
    sources: &Sources,
    claims: &Claims,
) -> Result<SourceKeys, EnrolError> {
    let records = try_join_all(config.proof.iter().map(|proof| async move {
        let source = sources.sql(&proof.source).ok_or(EnrolError::Unconfigured)?;
        let record = source.row(&proof.query, &[claims.ssn.digits()]).await?;
        record
            .filter(|record| bears_out(record, claims))
            .ok_or(EnrolError::NotProofed)
    }))
    .await?;
    let first = records.first().ok_or(EnrolError::Unconfigured)?;
    let mut keys = SourceKeys::default();
    for (domain, names) in &config.handle {
        if !claims.consents.contains(domain) {
            continue;
        }
        let mut values = BTreeMap::new();
        for (name, from) in names {
            let value = match from.as_str() {
                "claims.ssn" => Some(claims.ssn.digits()),
                "claims.ssn_last4" => Some(claims.ssn.last4()),
                column => first.text(column),
            };
            // A person without a record at some source has no key for it; its facts are then unknown.
            if let Some(value) = value.filter(|value| value.len() <= MAX_SOURCE_KEY_LENGTH) {
                values.insert(name.clone(), value.to_owned());
            }
        }
        keys.0.insert(*domain, values);
    }
    Ok(keys)
}

fn bears_out(record: &Record, claims: &Claims) -> bool {
    let same = |column: &str, claimed: &str| {
        record
            .text(column)
            .is_some_and(|text| !claimed.is_empty() && normalise(text) == normalise(claimed))
    };
    let ssn = record.text("ssn").and_then(|text| Ssn::parse(text).ok());
    let born = record
        .text("birth_date")
        .and_then(|text| text.parse::<Day>().ok());
    ssn.as_ref() == Some(&claims.ssn)
        && born == Some(claims.birth_date)
        && same("given_name", &claims.given_name)
        && same("family_name", &claims.family_name)
}

/// A name as letters and digits in lower case, without accents, spaces, hyphens and apostrophes: `De la Peña-Ó Néill` and
/// `DELAPENA ONEILL` are the same.
fn normalise(name: &str) -> String {
    let mut plain = String::with_capacity(name.len());
    for letter in name.chars().flat_map(char::to_lowercase) {
        match letter {
            'à'..='å' | 'ā' | 'ă' | 'ą' => plain.push('a'),
            'æ' => plain.push_str("ae"),
            'ç' | 'ć' | 'ĉ' | 'ċ' | 'č' => plain.push('c'),
            'ď' | 'đ' | 'ð' => plain.push('d'),
            'è'..='ë' | 'ē' | 'ĕ' | 'ė' | 'ę' | 'ě' => plain.push('e'),
            'ĝ' | 'ğ' | 'ġ' | 'ģ' => plain.push('g'),
            'ì'..='ï' | 'ĩ' | 'ī' | 'ĭ' | 'į' | 'ı' => plain.push('i'),
            'ĺ' | 'ļ' | 'ľ' | 'ł' => plain.push('l'),
            'ñ' | 'ń' | 'ņ' | 'ň' => plain.push('n'),
            'ò'..='ö' | 'ø' | 'ō' | 'ŏ' | 'ő' => plain.push('o'),
            'œ' => plain.push_str("oe"),
            'ŕ' | 'ř' => plain.push('r'),
            'ś' | 'ŝ' | 'ş' | 'š' | 'ș' => plain.push('s'),
            'ß' => plain.push_str("ss"),
            'ţ' | 'ť' | 'ț' => plain.push('t'),
            'ù'..='ü' | 'ũ' | 'ū' | 'ŭ' | 'ů' | 'ű' | 'ų' => plain.push('u'),
            'ý' | 'ÿ' => plain.push('y'),
            'ź' | 'ż' | 'ž' => plain.push('z'),
            letter if letter.is_alphanumeric() => plain.push(letter),
            // Combining accents, spaces and punctuation.
            _ => {}
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_compare_without_case_accents_and_punctuation() {
        assert_eq!(
            normalise("De la Peña-Ó Néill"),
            normalise("DELAPENA ONEILL")
        );
        assert_eq!(normalise("Jose\u{301} "), "jose");
        assert_ne!(normalise("Ana"), normalise("Anna"));
        assert_ne!(normalise("李"), normalise("王"));
    }
}

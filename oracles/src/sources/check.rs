//! Whether a mapping can work: found at start, by name, with what to write instead.

use std::collections::BTreeMap;

use contracts::catalogue::catalogue;

use super::config::{AttributeConfig, ReadConfig};
use super::error::ConfigError;
use super::{MAX_READINGS, Source};

/// A mapping must name a catalogued attribute and existing sources of its own kind.
///
/// # Errors
/// [`ConfigError`].
pub(super) fn check(
    config: &AttributeConfig,
    sources: &BTreeMap<String, Source>,
) -> Result<(), ConfigError> {
    let id = &config.id;
    let error = |at: String, problem: &str, fix: String| ConfigError {
        at,
        problem: problem.to_owned(),
        fix,
    };
    let at = format!("attribute {id}");
    if catalogue().get(id).is_none() {
        let fix = "write an id of contracts/rules/catalogue.toml".to_owned();
        return Err(error(at, "not in the catalogue", fix));
    }
    if !(1..=MAX_READINGS).contains(&config.read.len()) {
        let fix = format!("give it 1 to {MAX_READINGS} [[attribute.read]]");
        return Err(error(at, "no readings, or too many", fix));
    }
    for (place, reading) in config.read.iter().enumerate() {
        let at = format!("attribute {id}, read {}", place + 1);
        let name = reading.source();
        let fault = match (reading, sources.get(name)) {
            (_, None) => {
                let fix = format!("add a [[source]] named {name}");
                return Err(error(at, "unknown source", fix));
            }
            (ReadConfig::Sql(_), Some(Source::Sql(_)))
            | (ReadConfig::Emmy(_), Some(Source::Emmy(_))) => None,
            (ReadConfig::Json(read), Some(Source::Json(_))) => read.fault(),
            (ReadConfig::Fhir(read), Some(Source::Fhir(_))) => read.fault(),
            (ReadConfig::Desk(read), Some(Source::Desk(source))) => source.fault(read),
            _ => {
                let fix = format!("name a source of the reading's kind, not {name}");
                return Err(error(at, "the source is of another kind", fix));
            }
        };
        if let Some((problem, fix)) = fault {
            return Err(error(at, &problem, fix));
        }
    }
    if let Some(review) = &config.review {
        let at = format!("attribute {id}, review");
        let fault = match sources.get(&review.source) {
            Some(Source::Desk(source)) => source.fault(review),
            _ => Some((
                "the source is no desk".to_owned(),
                "name a [[source]] of kind desk".to_owned(),
            )),
        };
        if let Some((problem, fix)) = fault {
            return Err(error(at, &problem, fix));
        }
    }
    Ok(())
}

//! The catalogue: every attribute that can be attested, with its unit, bounds, domain, period, formula and freshness.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use serde::{Deserialize, Serialize};

use crate::ids::{AttributeId, Domain};
use crate::statement::Bounds;
use crate::units::{BadDate, Day, Period};

/// What the integer of an attribute counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Unit {
    /// US cents.
    Cents,
    /// Days since 1900-01-01.
    Days,
    /// A number of people, hours or months.
    Count,
    /// 0 or 1.
    Flag,
    /// A number that stands for a name, such as a FIPS state number; only equality has a meaning.
    Code,
}

/// The time that a value speaks of, relative to the as-of day.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PeriodRule {
    /// The as-of day itself.
    AsOf,
    /// So many days, the as-of day being the last.
    #[serde(untagged)]
    Trailing {
        /// Number of days, from 1.
        #[serde(rename = "trailing")]
        days: u16,
    },
}

impl PeriodRule {
    /// The reference period for an as-of day.
    ///
    /// # Errors
    /// The period would begin before 1900.
    pub fn period(self, as_of: Day) -> Result<Period, BadDate> {
        let days = match self {
            Self::AsOf => 1,
            Self::Trailing { days } => i64::from(days),
        };
        Ok(Period {
            start: as_of.plus(1 - days)?,
            end: as_of,
        })
    }
}

/// When the sources of an attribute agree (O2). The denominator is the configured sources, silent ones included (O3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SourceFormula {
    /// Every source gives the same value.
    Unanimous,
    /// At least `num/den` of the sources, more than a half, give the same value.
    #[serde(untagged)]
    Fraction {
        /// Numerator.
        num: u32,
        /// Denominator.
        den: u32,
    },
    /// Every source lies within this distance of the lower median, which is the value.
    #[serde(untagged)]
    Tolerance {
        /// Tenths of a percent of the lower median.
        #[serde(rename = "tolerance_percent_tenths")]
        pct10: u32,
    },
}

/// One attribute of the catalogue.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Attribute {
    /// Such as `income.magi_monthly`; begins with its domain.
    pub id: AttributeId,
    /// One line for people.
    pub title: String,
    /// What the integer counts.
    pub unit: Unit,
    /// Least value.
    pub min: i64,
    /// Greatest value.
    pub max: i64,
    /// The committee that attests it, and the only one that may.
    pub domain: Domain,
    /// The reference period.
    pub period: PeriodRule,
    /// When its sources agree.
    pub formula: SourceFormula,
    /// Why they agree by this formula and no other.
    pub reason: String,
    /// Days from observation to expiry of an attestation.
    pub freshness_days: u16,
    /// Where the law speaks of it.
    pub citation: String,
    /// Tables from which a derived value is worked out, such as `immigration_classes`; a contract's hash covers them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tables: Vec<String>,
}

impl Attribute {
    /// Least and greatest value, for interval analysis.
    pub fn bounds(&self) -> Bounds {
        Bounds {
            min: self.min,
            max: self.max,
        }
    }

    fn fault(&self) -> Option<&'static str> {
        if self.min > self.max {
            return Some("min is above max");
        }
        if self.unit == Unit::Flag && (self.min < 0 || self.max > 1) {
            return Some("a flag is 0 or 1");
        }
        if !self.id.0.starts_with(&format!("{}.", self.domain)) {
            return Some("the id must begin with the domain and a dot");
        }
        if self.freshness_days == 0 || self.citation.is_empty() || self.reason.is_empty() {
            return Some("freshness_days must be positive, reason and citation given");
        }
        match (self.period, self.formula) {
            (PeriodRule::Trailing { days: 0 }, _) => Some("a trailing period has at least one day"),
            (_, SourceFormula::Fraction { num, den })
                if num > den || 2 * u64::from(num) <= u64::from(den) =>
            {
                Some("a fraction must be more than a half and at most one")
            }
            _ => None,
        }
    }
}

/// A catalogue that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CatalogueError {
    /// Not TOML, or not of the catalogue's form.
    #[error("catalogue: {0}")]
    Form(String),
    /// An attribute that contradicts itself.
    #[error("catalogue: {id}: {fault}")]
    Attribute {
        /// The attribute.
        id: AttributeId,
        /// What is wrong.
        fault: &'static str,
    },
}

/// The attributes by id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Catalogue(BTreeMap<AttributeId, Attribute>);

impl Catalogue {
    /// Reads a catalogue file.
    ///
    /// # Errors
    /// [`CatalogueError`], naming the attribute.
    pub fn parse(text: &str) -> Result<Self, CatalogueError> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct File {
            attribute: Vec<Attribute>,
        }
        let file: File =
            toml::from_str(text).map_err(|error| CatalogueError::Form(error.to_string()))?;
        let mut attributes = BTreeMap::new();
        for attribute in file.attribute {
            let id = attribute.id.clone();
            if let Some(fault) = attribute.fault() {
                return Err(CatalogueError::Attribute { id, fault });
            }
            if attributes.insert(id.clone(), attribute).is_some() {
                let fault = "named twice";
                return Err(CatalogueError::Attribute { id, fault });
            }
        }
        Ok(Self(attributes))
    }

    /// The attribute of this id.
    pub fn get(&self, id: &AttributeId) -> Option<&Attribute> {
        self.0.get(id)
    }

    /// Every attribute, by id.
    pub fn iter(&self) -> impl Iterator<Item = &Attribute> {
        self.0.values()
    }
}

/// The catalogue of this release, `contracts/rules/catalogue.toml`.
pub fn catalogue() -> &'static Catalogue {
    static CATALOGUE: LazyLock<Catalogue> = LazyLock::new(|| {
        Catalogue::parse(include_str!("../rules/catalogue.toml"))
            .expect("a test reads the embedded catalogue")
    });
    &CATALOGUE
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_embedded_catalogue_is_sound_and_round_trips() {
        for attribute in catalogue().iter() {
            for table in &attribute.tables {
                assert!(crate::params::tables().hash(table).is_some(), "{table}");
            }
            let json = serde_json::to_string(attribute).unwrap();
            assert_eq!(
                &serde_json::from_str::<Attribute>(&json).unwrap(),
                attribute
            );
        }
        let income = catalogue().get(&"income.magi_monthly".into()).unwrap();
        assert_eq!(income.period, PeriodRule::Trailing { days: 30 });
        assert_eq!(income.formula, SourceFormula::Tolerance { pct10: 50 });
        let period = income.period.period("2026-03-01".parse().unwrap());
        assert_eq!(period.unwrap().to_string(), "2026-01-31/2026-03-01");
    }

    #[test]
    fn the_settings_shipped_are_those_that_were_decided() {
        let formula = |id: &str| catalogue().get(&id.into()).unwrap().formula;
        assert_eq!(formula("identity.ssn_valid"), SourceFormula::Unanimous);
        let ninety = SourceFormula::Fraction { num: 9, den: 10 };
        assert_eq!(formula("identity.birth_city"), ninety);
        for income in ["magi_monthly", "earned_monthly", "deposits_monthly"] {
            let five = SourceFormula::Tolerance { pct10: 50 };
            assert_eq!(formula(&format!("income.{income}")), five);
        }
    }

    #[test]
    fn an_attribute_that_contradicts_itself_is_refused_by_name() {
        let text = include_str!("../rules/catalogue.toml");
        for (from, to) in [
            ("max = 20\n", "max = 0\n"),
            ("\"household.size\"", "\"income.size\""),
            ("num = 2, den = 3", "num = 1, den = 2"),
            ("\"identity.ssi\"", "\"identity.medicare\""),
            ("reason = \"reasonable", "reason = \"\"\n# "),
        ] {
            assert!(text.contains(from), "{from}");
            let error = Catalogue::parse(&text.replacen(from, to, 1));
            assert!(matches!(error, Err(CatalogueError::Attribute { .. })));
        }
        assert!(matches!(
            Catalogue::parse("[[attribute]]\nid = 3"),
            Err(CatalogueError::Form(_))
        ));
    }
}

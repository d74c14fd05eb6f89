//! The resource types served, and which element each search parameter looks at.

use actix_web::http::StatusCode;
use serde_json::Value;

use super::reply::Outcome;

/// A resource type served.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    Patient,
    Condition,
    Observation,
    FamilyMemberHistory,
}

/// How a parameter compares (FHIR R4 search §3.1.1.4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ParamType {
    Id,
    Token,
    Text,
    Date,
    /// A date whose element has a time, too.
    Instant,
    /// A reference to a Patient.
    Reference,
}

/// A search parameter of the FHIR R4 registry.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Definition {
    pub(super) name: &'static str,
    pub(super) kind: ParamType,
    /// Path of elements from the resource; arrays are entered.
    path: &'static [&'static str],
}

const LAST_UPDATED: Definition = Definition {
    name: "_lastUpdated",
    kind: ParamType::Instant,
    path: &["meta", "lastUpdated"],
};

const PATIENT: &[Definition] = &[
    LAST_UPDATED,
    Definition {
        name: "_id",
        kind: ParamType::Id,
        path: &["id"],
    },
    Definition {
        name: "identifier",
        kind: ParamType::Token,
        path: &["identifier"],
    },
    Definition {
        name: "family",
        kind: ParamType::Text,
        path: &["name", "family"],
    },
    Definition {
        name: "given",
        kind: ParamType::Text,
        path: &["name", "given"],
    },
    Definition {
        name: "birthdate",
        kind: ParamType::Date,
        path: &["birthDate"],
    },
    Definition {
        name: "gender",
        kind: ParamType::Token,
        path: &["gender"],
    },
];

const CONDITION: &[Definition] = &[
    LAST_UPDATED,
    Definition {
        name: "_id",
        kind: ParamType::Id,
        path: &["id"],
    },
    Definition {
        name: "patient",
        kind: ParamType::Reference,
        path: &["subject"],
    },
    Definition {
        name: "subject",
        kind: ParamType::Reference,
        path: &["subject"],
    },
    Definition {
        name: "code",
        kind: ParamType::Token,
        path: &["code"],
    },
    Definition {
        name: "clinical-status",
        kind: ParamType::Token,
        path: &["clinicalStatus"],
    },
    Definition {
        name: "verification-status",
        kind: ParamType::Token,
        path: &["verificationStatus"],
    },
    Definition {
        name: "category",
        kind: ParamType::Token,
        path: &["category"],
    },
    Definition {
        name: "onset-date",
        kind: ParamType::Date,
        path: &["onsetDateTime"],
    },
];

const OBSERVATION: &[Definition] = &[
    LAST_UPDATED,
    Definition {
        name: "_id",
        kind: ParamType::Id,
        path: &["id"],
    },
    Definition {
        name: "patient",
        kind: ParamType::Reference,
        path: &["subject"],
    },
    Definition {
        name: "subject",
        kind: ParamType::Reference,
        path: &["subject"],
    },
    Definition {
        name: "code",
        kind: ParamType::Token,
        path: &["code"],
    },
    Definition {
        name: "component-code",
        kind: ParamType::Token,
        path: &["component", "code"],
    },
    Definition {
        name: "status",
        kind: ParamType::Token,
        path: &["status"],
    },
    Definition {
        name: "category",
        kind: ParamType::Token,
        path: &["category"],
    },
    Definition {
        name: "date",
        kind: ParamType::Date,
        path: &["effectiveDateTime"],
    },
];

const FAMILY_MEMBER_HISTORY: &[Definition] = &[
    LAST_UPDATED,
    Definition {
        name: "_id",
        kind: ParamType::Id,
        path: &["id"],
    },
    Definition {
        name: "patient",
        kind: ParamType::Reference,
        path: &["patient"],
    },
    Definition {
        name: "code",
        kind: ParamType::Token,
        path: &["condition", "code"],
    },
    Definition {
        name: "status",
        kind: ParamType::Token,
        path: &["status"],
    },
];

impl Kind {
    pub(super) const ALL: [Self; 4] = [
        Self::Patient,
        Self::Condition,
        Self::Observation,
        Self::FamilyMemberHistory,
    ];

    pub(super) fn parse(name: &str) -> Result<Self, Outcome> {
        Self::ALL
            .into_iter()
            .find(|kind| kind.name() == name)
            .ok_or_else(|| {
                Outcome::new(
                    StatusCode::NOT_FOUND,
                    "not-supported",
                    "this resource type is not served; see /metadata",
                )
            })
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Patient => "Patient",
            Self::Condition => "Condition",
            Self::Observation => "Observation",
            Self::FamilyMemberHistory => "FamilyMemberHistory",
        }
    }

    pub(super) fn definitions(self) -> &'static [Definition] {
        match self {
            Self::Patient => PATIENT,
            Self::Condition => CONDITION,
            Self::Observation => OBSERVATION,
            Self::FamilyMemberHistory => FAMILY_MEMBER_HISTORY,
        }
    }

    pub(super) fn definition(self, name: &str) -> Option<&'static Definition> {
        self.definitions()
            .iter()
            .find(|definition| definition.name == name)
    }
}

impl ParamType {
    /// The type's code in a CapabilityStatement.
    pub(super) fn code(self) -> &'static str {
        match self {
            Self::Id | Self::Token => "token",
            Self::Text => "string",
            Self::Date | Self::Instant => "date",
            Self::Reference => "reference",
        }
    }
}

impl Definition {
    /// The elements of `resource` that the parameter looks at.
    pub(super) fn elements<'a>(&self, resource: &'a Value) -> Vec<&'a Value> {
        let mut found = vec![resource];
        for step in self.path {
            found = found
                .into_iter()
                .filter_map(|value| value.get(step))
                .flat_map(|value| match value {
                    Value::Array(items) => items.iter().collect(),
                    single => vec![single],
                })
                .collect();
        }
        found
    }
}

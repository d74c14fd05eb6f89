//! Who may call, as configured: named callers by the hash of their token, and how often each kind may call.

use contracts::encoding::Bytes32;
use serde::Deserialize;
use sha2::{Digest, Sha256};
use subtle::{Choice, ConditionallySelectable, ConstantTimeEq};

/// Longest name of a caller, in bytes.
pub const MAX_CALLER_NAME: usize = 60;
/// Most callers that a configuration names.
pub const MAX_CALLERS: usize = 1_000;
/// Name of the navigator whose token is `navigator_token`.
pub(crate) const NAVIGATOR: &str = "navigator";

/// Kinds of caller that a configuration names. Owners and providers hold tokens that the service made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CallerKind {
    /// Runs the service: reads the audit events.
    Operator,
    /// Creates profiles.
    Navigator,
    /// Keeps cases: has them renewed, reads what changed about them.
    Agency,
    /// Sells gap cover: reads the policies it sold.
    Insurer,
}

/// A caller. Two with the same kind and audience are one party with two tokens, so that a token can be replaced: add the
/// new one, hand it over, take the old one out.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CallerConfig {
    /// What audit events call it; 1 to 60 letters, digits, `.`, `_` or `-`, and no other caller's.
    pub name: String,
    /// What it may do.
    pub kind: CallerKind,
    /// Of an agency or insurer: its registered id, as under `agencies` or `insurers`.
    #[serde(default)]
    pub audience: Option<String>,
    /// SHA-256 of its bearer token, 64 hexadecimal digits. The token must be drawn at random (32 bytes): a hash without
    /// salt keeps no word secret.
    pub token_sha256: String,
}

impl CallerConfig {
    /// The hash of its token; none when that is not 64 hexadecimal digits.
    fn hash(&self) -> Option<[u8; 32]> {
        let mut hash = [0; 32];
        hex::decode_to_slice(&self.token_sha256, &mut hash).ok()?;
        Some(hash)
    }
}

/// Checks the callers of a configuration; `agency` and `insurer` say whether an audience is one.
///
/// # Errors
/// The field, and what to write there.
pub(crate) fn check_callers(
    callers: &[CallerConfig],
    agency: impl Fn(&str) -> bool,
    insurer: impl Fn(&str) -> bool,
) -> Result<(), (&'static str, String)> {
    if callers.len() > MAX_CALLERS {
        return Err(("callers", format!("at most {MAX_CALLERS}")));
    }
    for (at, caller) in callers.iter().enumerate() {
        let name = &caller.name;
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
        if !(1..=MAX_CALLER_NAME).contains(&name.len()) || !name.bytes().all(plain) {
            let problem =
                format!("{name:?}: 1 to {MAX_CALLER_NAME} letters, digits, '.', '_', '-'");
            return Err(("callers.name", problem));
        }
        let others = callers.iter().take(at);
        if name == NAVIGATOR || others.clone().any(|other| other.name == *name) {
            return Err(("callers.name", format!("{name}: name each caller once")));
        }
        let Some(hash) = caller.hash() else {
            let problem = format!("{name}: 64 hexadecimal digits, as sha256sum prints them");
            return Err(("callers.token_sha256", problem));
        };
        if others.clone().any(|other| other.hash() == Some(hash)) {
            let problem = format!("{name}: another caller has this token");
            return Err(("callers.token_sha256", problem));
        }
        let (fits, problem) = match (caller.kind, caller.audience.as_deref()) {
            (CallerKind::Agency, found) => (found.is_some_and(&agency), "name one of [[agencies]]"),
            (CallerKind::Insurer, found) => {
                (found.is_some_and(&insurer), "name one of [[insurers]]")
            }
            (_, found) => (found.is_none(), "only agencies and insurers have one"),
        };
        if !fits {
            return Err(("callers.audience", format!("{name}: {problem}")));
        }
    }
    Ok(())
}

/// A caller that the configuration names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Named {
    pub(crate) kind: CallerKind,
    pub(crate) name: String,
    /// Empty but for agencies and insurers.
    pub(crate) audience: String,
    hash: [u8; 32],
}

impl Named {
    /// What its calls are counted under: a party's tokens share its limit.
    pub(crate) fn party(&self) -> &str {
        match self.audience.as_str() {
            "" => &self.name,
            audience => audience,
        }
    }
}

/// Every named caller.
#[derive(Debug, Default)]
pub(crate) struct Callers(Vec<Named>);

impl Callers {
    /// The callers of a checked configuration, and the navigator with this token.
    pub(crate) fn new(callers: &[CallerConfig], navigator: &str) -> Self {
        let named = callers.iter().filter_map(|caller| {
            Some(Named {
                kind: caller.kind,
                name: caller.name.clone(),
                audience: caller.audience.clone().unwrap_or_default(),
                hash: caller.hash()?,
            })
        });
        let navigator = Named {
            kind: CallerKind::Navigator,
            name: NAVIGATOR.to_owned(),
            audience: String::new(),
            hash: Sha256::digest(navigator).into(),
        };
        Self(named.chain([navigator]).collect())
    }

    /// The caller of a kind with this token. The time it takes tells neither which matched nor how far one did.
    pub(crate) fn find(&self, kind: CallerKind, token: &str) -> Option<&Named> {
        let hash: [u8; 32] = Sha256::digest(token).into();
        let mut found = u64::MAX;
        for (at, named) in (0u64..).zip(&self.0) {
            let right = named.hash.ct_eq(&hash) & Choice::from(u8::from(named.kind == kind));
            found.conditional_assign(&at, right);
        }
        self.0.get(usize::try_from(found).ok()?)
    }
}

/// Calls a minute of each caller, by kind; a third of them may come at once.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LimitsConfig {
    /// An owner's.
    pub owner: u32,
    /// A provider's, for one flag.
    pub provider: u32,
    /// An operator's.
    pub operator: u32,
    /// A navigator's.
    pub navigator: u32,
    /// An agency's, over all its tokens.
    pub agency: u32,
    /// An insurer's, over all its tokens.
    pub insurer: u32,
    /// Of one address, to what needs no token; and, counted apart, with a token that is nobody's.
    pub anyone: u32,
}

impl Default for LimitsConfig {
    fn default() -> Self {
        Self {
            owner: 600,
            provider: 60,
            operator: 600,
            navigator: 1_200,
            agency: 1_200,
            insurer: 1_200,
            anyone: 600,
        }
    }
}

impl LimitsConfig {
    /// Every limit with its field's name.
    pub(crate) fn fields(&self) -> [(&'static str, u32); 7] {
        [
            ("limits.owner", self.owner),
            ("limits.provider", self.provider),
            ("limits.operator", self.operator),
            ("limits.navigator", self.navigator),
            ("limits.agency", self.agency),
            ("limits.insurer", self.insurer),
            ("limits.anyone", self.anyone),
        ]
    }
}

/// What calls are counted under; tells nothing, and has one length.
pub(crate) fn counted(kind: &str, who: &[u8]) -> Bytes32 {
    contracts::encoding::tagged_hash("shp/v1/rate-limit", &[kind.as_bytes(), who]).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn caller(name: &str, kind: CallerKind, audience: Option<&str>, token: &str) -> CallerConfig {
        CallerConfig {
            name: name.to_owned(),
            kind,
            audience: audience.map(str::to_owned),
            token_sha256: hex::encode(Sha256::digest(token)),
        }
    }

    fn check(callers: &[CallerConfig]) -> Result<(), &'static str> {
        check_callers(callers, |it| it == "agency", |it| it == "insurer").map_err(|(at, _)| at)
    }

    #[test]
    fn a_token_is_its_kinds_alone_and_two_serve_while_one_replaces_the_other() {
        let callers = [
            caller("old", CallerKind::Agency, Some("agency"), "a"),
            caller("new", CallerKind::Agency, Some("agency"), "b"),
            caller("ops", CallerKind::Operator, None, "c"),
        ];
        assert_eq!(check(&callers), Ok(()));
        let known = Callers::new(&callers, "n");
        let name = |kind, token| known.find(kind, token).map(|it| it.name.as_str());
        assert_eq!(name(CallerKind::Agency, "a"), Some("old"));
        assert_eq!(name(CallerKind::Agency, "b"), Some("new"));
        assert_eq!(name(CallerKind::Navigator, "n"), Some("navigator"));
        assert_eq!(name(CallerKind::Agency, "c"), None);
        assert_eq!(name(CallerKind::Operator, "a"), None);
        assert_eq!(name(CallerKind::Insurer, ""), None);
    }

    #[test]
    fn a_caller_that_cannot_be_is_refused_by_field() {
        let good = caller("x", CallerKind::Agency, Some("agency"), "a");
        let with = |edit: fn(&mut CallerConfig)| {
            let mut changed = good.clone();
            edit(&mut changed);
            check(&[changed])
        };
        assert_eq!(with(|_| ()), Ok(()));
        assert_eq!(with(|it| it.name = "a b".to_owned()), Err("callers.name"));
        assert_eq!(
            with(|it| it.name = "navigator".to_owned()),
            Err("callers.name")
        );
        assert_eq!(with(|it| it.audience = None), Err("callers.audience"));
        let insurer = with(|it| it.kind = CallerKind::Insurer);
        assert_eq!(insurer, Err("callers.audience"));
        let operator = with(|it| it.kind = CallerKind::Operator);
        assert_eq!(operator, Err("callers.audience"));
        let short = with(|it| it.token_sha256.truncate(62));
        assert_eq!(short, Err("callers.token_sha256"));
        let twice = caller("y", CallerKind::Operator, None, "a");
        assert_eq!(check(&[good, twice]), Err("callers.token_sha256"));
    }
}

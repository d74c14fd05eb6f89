//! What a navigator's organisation configures.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;

use contracts::ids::Domain;
use oracles::wire::enrol::Recipient;
use serde::Deserialize;

use crate::config::{
    BaseUrl, ConfigError, MAX_CONFIG_BYTES, Secret, SourceConfig, bad, read_capped,
};

/// The commented example, which a test keeps readable by this version.
pub const EXAMPLE: &str = include_str!("../../navigator.example.toml");

/// A service, and the token that the navigator is known by there.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServiceConfig {
    /// Base URL of its API.
    pub url: BaseUrl,
    /// Bearer token.
    pub token: Secret,
}

/// A navigator's form. [`NavigatorConfig::parse`] reads and checks it.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NavigatorConfig {
    /// The organisation, as pages call it; 1 to 100 bytes.
    pub name: String,
    /// Where the form is served: a loopback address, any port by default.
    #[serde(default = "loopback")]
    pub listen: SocketAddr,
    /// The profile service.
    pub profile: ServiceConfig,
    /// The notifier.
    pub notifier: ServiceConfig,
    /// The eligibility contract by which cover is looked after.
    pub contract: String,
    /// Members of the identity committee, from a source that the organisation trusts: claims are sealed to these keys only,
    /// whatever the profile service says.
    pub identity: Vec<Recipient>,
    /// Whose records each domain's consent is about.
    #[serde(default)]
    pub sources: Vec<SourceConfig>,
}

fn loopback() -> SocketAddr {
    (Ipv4Addr::LOCALHOST, 0).into()
}

impl NavigatorConfig {
    /// Reads a configuration file.
    ///
    /// # Errors
    /// [`ConfigError`], naming the field and what to write.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        Self::parse(&read_capped(path, MAX_CONFIG_BYTES)?)
    }

    /// Reads and checks the text of a configuration.
    ///
    /// # Errors
    /// [`ConfigError`], naming the field and what to write.
    pub fn parse(text: &str) -> Result<Self, ConfigError> {
        let config: Self =
            toml::from_str(text).map_err(|error| ConfigError::Toml(error.message().to_owned()))?;
        if !config.listen.ip().is_loopback() {
            let problem = "a loopback address: SSNs are typed in here";
            return Err(bad("listen", problem));
        }
        if config.identity.is_empty() {
            return Err(bad(
                "identity",
                "name each member of the identity committee",
            ));
        }
        crate::config::shown_name("name", &config.name)?;
        for source in &config.sources {
            crate::config::shown_name("sources.name", &source.name)?;
        }
        Ok(config)
    }

    /// Whose records a domain's consent is about, in words.
    pub(super) fn sources_of(&self, domain: Domain) -> String {
        let names = self.sources.iter().filter(|one| one.domain == domain);
        let names: Vec<&str> = names.map(|one| one.name.as_str()).collect();
        match names.is_empty() {
            true => "as the oracles are configured".to_owned(),
            false => names.join(", "),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_is_a_configuration_and_errors_name_the_field() {
        NavigatorConfig::parse(EXAMPLE).unwrap();
        let cases = [
            ("127.0.0.1:8095", "0.0.0.0:8095", "listen"),
            ("Bay Community Clinic", "", "name"),
        ];
        for (from, to, field) in cases {
            let error = NavigatorConfig::parse(&EXAMPLE.replace(from, to)).unwrap_err();
            assert!(
                error.to_string().contains(&format!("field {field}:")),
                "{error}"
            );
        }
    }
}

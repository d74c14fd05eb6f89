//! Starting the network: processes, keys, the trust file, and the services that need them.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Instant;

use contracts::encoding::Bytes32;
use contracts::ids::NodeId;
use contracts::trust::{CommitteeKey, Suite, Trust};
use oracles::ceremony::KeyId;
use oracles::wire::info::NodeInfo;
use serde_json::json;
use sha2::{Digest as _, Sha256};

use super::fault::Step;
use super::folder::Folder;
use super::network::{Network, oracle_name};
use super::oracle_config::{self, SourceAccess};
use super::phone::Texting;
use super::story::{AWAY, GAP, PEOPLE, Story, home, person, profiles};
use super::{AUDIENCE, AUDIENCE_AWAY, CONTRACT, DemoError, INSURER, ISSUER, ORACLES, ORIGIN};
use crate::external::double::Double;
use crate::external::{self, RoleConfig, Secret};

/// The agency's party.
const AGENCY: &str = "agency";
/// The insurer's published plans.
const PLANS: &[u8] = include_bytes!("../../../fixtures/plans/bridge-mutual.json");

impl Story<'_> {
    pub(crate) async fn start(&mut self) -> Result<(), DemoError> {
        let since = Instant::now();
        let registry =
            external::registry::create(&self.folder.path("sources"), self.day_zero).await?;
        let of = person(&self.people, PEOPLE[0])?;
        let of_case = external::registry::case_number(&registry, &of.ssn).await?;
        let mut accounts = Vec::new();
        for double in &self.setting.cast {
            if external::registry::case_number(&registry, &double.ssn())
                .await
                .is_err()
            {
                external::registry::add_double(&registry, &of.ssn, double).await?;
            }
            accounts.push(external::payroll::AccountDouble {
                case_number: double.case_number(),
                ssn: double.ssn(),
                of: of_case.clone(),
                pay_percent: double.pay_percent,
            });
        }
        let (payroll_key, _) = self.folder.secret("payroll-reader")?;
        let (payroll_admin, _) = self.folder.secret("payroll-operator")?;
        let (ehr_key, _) = self.folder.secret("ehr-reader")?;
        let (ehr_staff, _) = self.folder.secret("ehr-staff")?;
        let payroll = RoleConfig::Payroll(external::payroll::Config {
            listen: ([127, 0, 0, 1], 0).into(),
            day_zero: self.day_zero,
            clock_offset_seconds: self.clock_offset,
            data: self.folder.make("sources/payroll")?,
            api_key: Secret::new(&payroll_key),
            admin_key: Secret::new(payroll_admin),
            doubles: accounts,
        });
        let (pregnant, unremarkable): (Vec<_>, Vec<_>) =
            self.setting.cast.iter().partition(|double| double.pregnant);
        let ehr = RoleConfig::Ehr(external::ehr::Config {
            unremarkable: unremarkable.into_iter().map(Double::mrn).collect(),
            pregnant: pregnant.into_iter().map(Double::mrn).collect(),
            clock_offset_seconds: self.clock_offset,
            staff: Some(external::ehr::Staff {
                key: Secret::new(ehr_staff),
                data: self.folder.make("sources/ehr")?,
            }),
            ..external::ehr::Config::new(self.day_zero, Secret::new(&ehr_key))
        });
        self.network
            .start("external", "payroll", &to_toml(&payroll)?)
            .await?;
        self.network
            .start("external", "ehr", &to_toml(&ehr)?)
            .await?;
        let sources = SourceAccess {
            registry: &registry,
            payroll: self.network.url("payroll"),
            payroll_key: &payroll_key,
            ehr: self.network.url("ehr"),
            ehr_key: &ehr_key,
        };
        let mut configs = oracle_config::configs(
            self.folder,
            &self.network,
            &sources,
            self.clock_offset,
            ORACLES,
        )?;
        for config in &mut configs {
            config
                .roles
                .insert("watch".to_owned(), oracle_config::watch()?);
            self.network
                .start("oracle", &oracle_name(config.id), &to_toml(config)?)
                .await?;
        }
        self.phone = Some(Texting::start(self.folder, &self.network, self.clock_offset).await?);
        self.say(&format!(
            "{} processes listen: payroll, EHR, {ORACLES} oracles, notifier; the registry is a SQL database",
            self.network.size()
        ));
        self.timed("start sources, oracles, notifier", since);
        self.enter(Step::Start).await;
        Ok(())
    }

    /// One generation per committee key over the network; a fault strikes in the middle of it.
    pub(crate) async fn generate_keys(&mut self) -> Result<(), DemoError> {
        let since = Instant::now();
        let failed = DemoError::step(Step::Dkg);
        let first = NodeId::new(1).map_err(|error| DemoError::Other(error.to_string()))?;
        let config = oracles::config::NodeConfig::load(&self.folder.path("config/oracle-1.toml"))
            .map_err(|error| DemoError::Other(error.to_string()))?;
        let identity = oracle_config::identity(self.folder, first)?;
        let peers = oracles::peer::Peers::new(&config, identity)
            .map_err(|error| DemoError::Other(error.to_string()))?;
        if !self.memory.keys_generated {
            let keys = config.keys();
            for (at, key) in keys.iter().enumerate() {
                if at == keys.len() / 2 {
                    self.enter(Step::Dkg).await;
                }
                match oracles::ceremony::dkg::generate(&config, &peers, *key).await {
                    Ok(_) => {}
                    Err(error) => return Err(failed(error.to_string())),
                }
            }
            self.say(&format!(
                "{} keys generated by {ORACLES} oracles together, no dealer: 3 of {ORACLES} sign",
                keys.len()
            ));
            self.memory.keys_generated = true;
            self.folder.remember(&self.memory)?;
        }
        self.trust().await?;
        self.timed("distributed key generation", since);
        let since = Instant::now();
        self.start_services().await?;
        self.timed("start profile and agency", since);
        Ok(())
    }

    /// Writes the trust file.
    async fn trust(&mut self) -> Result<(), DemoError> {
        let mut infos = Vec::new();
        for node in oracle_config::nodes() {
            let name = oracle_name(node);
            if !self.network.runs(&name) {
                continue;
            }
            let info: NodeInfo = self
                .network
                .get(&name, "/v1/info", None)
                .await
                .map_err(DemoError::Other)?;
            infos.push(info);
        }
        write_trust(self.folder, &infos, ORACLES)
    }

    async fn start_services(&mut self) -> Result<(), DemoError> {
        let phone = self
            .phone
            .as_ref()
            .ok_or_else(|| DemoError::Other("the notifier has not started".to_owned()))?;
        let messages_token = phone.messages_token_file().to_owned();
        let notifier_key = phone.notifier_key();
        let oracles: Vec<String> = oracle_config::nodes()
            .map(|node| self.network.url(&oracle_name(node)))
            .collect();
        let compiled = contracts::rules::registry()
            .compile(CONTRACT, &home(), self.today)
            .map_err(|error| DemoError::Other(error.to_string()))?;
        let (caseworker, _) = self.folder.secret("caseworker")?;
        let mut keys = Vec::new();
        let here = (AGENCY, AUDIENCE, home());
        let away = (AWAY, AUDIENCE_AWAY, super::live::away());
        for (party, audience, jurisdiction) in [here, away] {
            if self.network.door(party).is_none() {
                continue;
            }
            let agency = RoleConfig::Agency(external::agency::Config {
                listen: ([127, 0, 0, 1], 0).into(),
                data: self.folder.path(party),
                clock_offset_seconds: self.clock_offset,
                audience: audience.to_owned(),
                issuer: ISSUER.to_owned(),
                oracles: oracles.clone(),
                notifier_key,
                jurisdiction,
                contracts: vec![compiled.contract.clone()],
                caseworker_key: Some(Secret::new(&caseworker)),
            });
            let key = self.start_signer(party, &agency).await?;
            keys.push(json!({
                "audience": audience,
                "jurisdiction": jurisdiction,
                "url": format!("{}/applications", self.network.url(party)),
                "public_key": key,
            }));
        }
        let insurers = match self.network.door(GAP) {
            Some(_) => vec![self.start_insurer(&oracles, notifier_key).await?],
            None => Vec::new(),
        };
        let config = profile_config(
            self.folder,
            &self.network,
            ORACLES,
            &ProfileAccess {
                messages_token: &messages_token,
                notifier_key,
                agencies: keys.into(),
                insurers,
                clock_offset: self.clock_offset,
                ask: None,
                watch: Some(json!({"enabled": true, "poll_seconds": 1})),
                undo_seconds: self.setting.undo_seconds,
                worker: json!({
                    "interval_ms": 100,
                    "poll_seconds": self.setting.poll_seconds,
                    "lease_seconds": self.setting.lease_seconds,
                    "spread_seconds": self.setting.spread_seconds,
                }),
                database: self.setting.database.clone(),
            },
        )?;
        for party in profiles(&self.setting) {
            self.network.start("profile", &party, &config).await?;
        }
        Ok(())
    }

    /// Starts the insurer; what the profile is told of it.
    async fn start_insurer(
        &mut self,
        oracles: &[String],
        notifier_key: Bytes32,
    ) -> Result<serde_json::Value, DemoError> {
        let sold_on = contracts::rules::registry()
            .compile(profile::gap::CONTRACT, &home(), self.today)
            .map_err(|error| DemoError::Other(error.to_string()))?;
        let insurer = RoleConfig::Insurer(external::insurer::Config {
            listen: ([127, 0, 0, 1], 0).into(),
            data: self.folder.make(GAP)?,
            plans: self.folder.write("config/plans.json", PLANS)?,
            clock_offset_seconds: self.clock_offset,
            issuer: ISSUER.to_owned(),
            oracles: oracles.to_vec(),
            notifier_key,
            contracts: vec![sold_on.contract],
        });
        let key = self.start_signer(GAP, &insurer).await?;
        Ok(json!({
            "audience": INSURER,
            "url": self.network.url(GAP),
            "public_key": key,
        }))
    }

    /// Starts an external system that signs what it says; its public key.
    async fn start_signer(
        &mut self,
        party: &str,
        config: &RoleConfig,
    ) -> Result<serde_json::Value, DemoError> {
        self.network
            .start("external", party, &to_toml(config)?)
            .await?;
        let mut said: serde_json::Value = self
            .network
            .get(party, "/v1/key", None)
            .await
            .map_err(DemoError::Other)?;
        Ok(said["key"].take())
    }
}

/// What the profile is told besides the oracles.
pub struct ProfileAccess<'a> {
    /// File of its token at the notifier.
    pub messages_token: &'a Path,
    /// The key that replies are signed with.
    pub notifier_key: Bytes32,
    /// The agencies, as the profile's configuration names them.
    pub agencies: serde_json::Value,
    /// Insurers that gap cover can be bought from.
    pub insurers: Vec<serde_json::Value>,
    /// Seconds its clock is moved by.
    pub clock_offset: i64,
    /// `[ask]`, where the defaults do not serve.
    pub ask: Option<serde_json::Value>,
    /// `[watch]`, where anything is watched.
    pub watch: Option<serde_json::Value>,
    /// Seconds within which a YES can be taken back; ten minutes in a real configuration.
    pub undo_seconds: u32,
    /// `[worker]`.
    pub worker: serde_json::Value,
    /// The database, where it is not a file in the run's folder.
    pub database: Option<String>,
}

/// The configuration of a profile service that asks the first `count` oracles.
///
/// # Errors
/// A secret or identity cannot be read.
pub fn profile_config(
    folder: &Folder,
    network: &Network<'_>,
    count: u16,
    access: &ProfileAccess<'_>,
) -> Result<String, DemoError> {
    let (_, operator_key) = folder.secret("profile-operator")?;
    let (_, navigator) = folder.secret("profile-navigator")?;
    let nodes: Vec<_> = oracle_config::first_nodes(count)
        .map(|node| {
            let identity = oracle_config::identity(folder, node)?;
            Ok(json!({
                "id": node,
                "url": network.url(&oracle_name(node)),
                "hpke_key": identity.hpke().public(),
                "hpke_epoch": 1,
            }))
        })
        .collect::<Result<_, DemoError>>()?;
    let members: Vec<_> = oracle_config::first_nodes(count).collect();
    let committees: Vec<_> = contracts::ids::Committee::ALL
        .into_iter()
        .map(|committee| json!({"committee": committee, "members": members}))
        .collect();
    let enquiries: Vec<_> = access
        .insurers
        .iter()
        .map(|insurer| json!({"audience": insurer["audience"], "kind": "insurer"}))
        .collect();
    let parties = [
        ("operator", None),
        ("agency", access.agencies[0]["audience"].as_str()),
        (
            "insurer",
            access
                .insurers
                .first()
                .and_then(|it| it["audience"].as_str()),
        ),
    ];
    let mut callers = Vec::new();
    for (kind, audience) in parties {
        if audience.is_none() && kind != "operator" {
            continue;
        }
        let (token, _) = folder.secret(&format!("profile-api-{kind}"))?;
        let hash = hex::encode(Sha256::digest(&token));
        let mut caller = json!({"name": kind, "kind": kind, "token_sha256": hash});
        if let Some(audience) = audience {
            caller["audience"] = json!(audience);
        }
        callers.push(caller);
    }
    let mut config = json!({
        "listen": "127.0.0.1:0",
        "database": access.database.clone().unwrap_or_else(
            || format!("sqlite:{}", folder.path("profile/profile.db").display())
        ),
        "operator_key": {"file": operator_key},
        "navigator_token": {"file": navigator},
        "trust": folder.path("trust.json"),
        "clock_offset_seconds": access.clock_offset,
        "nodes": nodes,
        "committees": committees,
        "notifier": {
            "url": network.url("notifier"),
            "token": {"file": access.messages_token},
            "public_key": access.notifier_key,
        },
        "agencies": access.agencies,
        "callers": callers,
        "limits": {
            "owner": 60_000, "provider": 60_000, "operator": 60_000, "navigator": 60_000, "agency": 60_000,
            "insurer": 60_000, "anyone": 60_000,
        },
        "enquiries": enquiries,
        "insurers": access.insurers,
        "worker": access.worker,
        "approval": {"wait_seconds": 5, "undo_seconds": access.undo_seconds},
    });
    for (section, settings) in [("ask", &access.ask), ("watch", &access.watch)] {
        if let Some(settings) = settings {
            config[section] = settings.clone();
        }
    }
    to_toml(&config)
}

/// Writes the trust file: what more oracles than may be faulty say alike.
///
/// # Errors
/// They do not, or the file cannot be written.
pub fn write_trust(folder: &Folder, infos: &[NodeInfo], count: u16) -> Result<(), DemoError> {
    let mut said: BTreeMap<String, (usize, Vec<CommitteeKey>, ed25519_dalek::VerifyingKey)> =
        BTreeMap::new();
    for info in infos {
        let (keys, ledger) = committee_keys(info)?;
        let spelled = serde_json::to_string(&(&keys, ledger.as_bytes()))
            .map_err(|error| DemoError::Other(error.to_string()))?;
        said.entry(spelled).or_insert((0, keys, ledger)).0 += 1;
    }
    let faults = usize::from(contracts::ids::max_faults(count));
    let (_, keys, ledger) = said
        .into_values()
        .find(|(count, _, _)| *count > faults)
        .ok_or_else(|| {
            DemoError::Other("the oracles do not name the same committee keys".to_owned())
        })?;
    let trust = Trust::new(ISSUER.to_owned(), ORIGIN.to_owned(), ledger, keys)
        .map_err(|error| DemoError::Other(error.to_string()))?;
    let bytes =
        serde_json::to_vec_pretty(&trust).map_err(|error| DemoError::Other(error.to_string()))?;
    folder.write("trust.json", &bytes).map(|_| ())
}

fn committee_keys(
    info: &NodeInfo,
) -> Result<(Vec<CommitteeKey>, ed25519_dalek::VerifyingKey), DemoError> {
    let mut keys = Vec::new();
    let mut ledger = None;
    for held in &info.keys {
        if held.key == KeyId::IdentityOprf {
            continue;
        }
        let key = CommitteeKey {
            committee: held.key.committee(),
            epoch: held.epoch,
            suite: Suite::of(held.key.committee()),
            key: held.group_key.clone(),
        };
        if key.committee == contracts::ids::Committee::Ledger {
            ledger = key.ed25519();
        } else {
            keys.push(key);
        }
    }
    let ledger = ledger
        .ok_or_else(|| DemoError::Other(format!("oracle {} names no ledger key", info.node)))?;
    Ok((keys, ledger))
}

/// TOML of a configuration.
///
/// # Errors
/// It has no TOML form.
pub fn to_toml<T: serde::Serialize>(config: &T) -> Result<String, DemoError> {
    toml::to_string(config).map_err(|error| DemoError::Other(format!("configuration: {error}")))
}

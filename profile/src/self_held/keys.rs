//! Which key a command means, and its public half as JSON.

use clap::{Args, ValueEnum};
use contracts::ids::Domain;
use serde_json::{Value, json};

use crate::wallet::{Role, Use, Wallet, WalletError};

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Purpose {
    /// Signs requests to a domain's committee; index: registration.
    Authorisation,
    /// One-time keys of a leaf of a domain.
    Leaf,
    /// A token's `cnf` key.
    Confirmation,
    /// Receives the answer to an enrolment.
    Response,
    /// The id of an enrolment; index: registration.
    Enrolment,
}

/// Steps to a node; the roles of a leaf lie below.
const NODE: usize = 4;

/// A use of keys.
#[derive(Debug, Args)]
pub(super) struct KeyChoice {
    /// What the key is for.
    #[arg(long = "use", value_enum)]
    purpose: Purpose,
    /// Domain of an authorisation key or a leaf: identity, residence, income, household or medical.
    #[arg(long)]
    domain: Option<Domain>,
}

impl KeyChoice {
    /// The use.
    pub(super) fn any(&self) -> Result<Use, String> {
        let alone = |use_: Use| match self.domain {
            None => Ok(use_),
            Some(_) => Err("--domain: these keys belong to no domain".to_owned()),
        };
        let domain = || {
            self.domain
                .ok_or_else(|| "--domain: name the domain of the key".to_owned())
        };
        match self.purpose {
            Purpose::Authorisation => domain().map(Use::Authorisation),
            Purpose::Leaf => domain().map(|domain| Use::Leaf(domain, Role::Holder)),
            Purpose::Confirmation => alone(Use::Confirmation),
            Purpose::Response => alone(Use::Response),
            Purpose::Enrolment => alone(Use::Enrolment),
        }
    }

    /// The use, if its index is drawn afresh every time.
    pub(super) fn drawn(&self) -> Result<Use, String> {
        let use_ = self.any()?;
        if Use::drawn().contains(&use_) {
            return Ok(use_);
        }
        Err(
            "--use: these keys go by registration; print them with `wallet keys --index`"
                .to_owned(),
        )
    }
}

/// Use, path and public keys.
pub(super) fn describe(wallet: &Wallet, use_: Use, index: u32) -> Result<Value, String> {
    public(wallet, use_, index)
        .map(|public| {
            let path: Option<Vec<_>> = use_
                .steps(index)
                .map(|steps| steps.iter().take(NODE).map(ToString::to_string).collect());
            let path = path.map(|steps| format!("m/{}", steps.join("/")));
            json!({"index": index, "path": path, "public": public})
        })
        .map_err(|error| error.to_string())
}

fn public(wallet: &Wallet, use_: Use, index: u32) -> Result<Value, WalletError> {
    Ok(match use_ {
        Use::Authorisation(domain) => {
            json!({"bip340": wallet.authorisation(domain, index)?.x_only()})
        }
        Use::Leaf(domain, _) => {
            let keys = wallet.leaf(domain, index)?;
            json!({"bip340": keys.holder.x_only(), "x25519": keys.receive.public()})
        }
        Use::Confirmation => json!({"secp256k1": wallet.confirmation(index)?.compressed()}),
        Use::Response => json!({"x25519": wallet.response(index)?.public()}),
        Use::Enrolment => json!({"enrol_id": wallet.enrolment(index)?}),
        // No command names these: they have no public half.
        _ => Value::Null,
    })
}

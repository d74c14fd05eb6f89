//! Gap cover: what the machine needs of a market of insurers, and its use.

use contracts::application::{Answer, Approval};
use contracts::encoding::Bytes32;
use contracts::ids::Jurisdiction;
use contracts::lifecycle::{Action, Event, Matter};
use contracts::receipt::{Entry, EntryKind};
use contracts::units::Day;
use oracles::problem::Problem;

use super::owner::approval_of;
use super::worker::{Done, Job};
use crate::service::Service;
use crate::store::StoredProfile;

/// What is to be quoted.
#[derive(Debug, Clone, Copy)]
pub struct QuoteAsk {
    /// Which plan in the ranking, from 1.
    pub attempt: u8,
    /// Where the owner lives.
    pub jurisdiction: Jurisdiction,
    /// First day to be covered, as far as is known.
    pub from: Day,
}

/// An insurer's offer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quoted {
    /// The insurer's reference, by which it is enrolled in.
    pub quote: String,
}

/// A market of gap policies. Every call carries a key: the same key again is the same call.
#[async_trait::async_trait]
pub trait GapMarket: std::fmt::Debug + Send + Sync {
    /// Has a plan quoted; none when no insurer would.
    async fn quote(
        &self,
        service: &Service,
        profile: &StoredProfile,
        ask: &QuoteAsk,
        key: &Bytes32,
    ) -> Result<Option<Quoted>, Problem>;

    /// The decision id that the owner's YES to a quote is signed for.
    async fn decision(
        &self,
        _service: &Service,
        _profile: &StoredProfile,
        quote: &str,
        key: &Bytes32,
    ) -> Result<Bytes32, Problem> {
        let parts = [&key.0[..], quote.as_bytes()];
        Ok(contracts::encoding::tagged_hash("shp/v1/gap-decision", &parts).into())
    }

    /// Enrols from a day on, with the owner's signed YES; the policy's reference and its first day, or none when refused.
    async fn enrol(
        &self,
        service: &Service,
        profile: &StoredProfile,
        quote: &str,
        from: Day,
        approval: &Approval,
        key: &Bytes32,
    ) -> Result<Option<(String, Day)>, Problem>;

    /// Ends a policy: `on` is the first day that it does not cover.
    async fn end(
        &self,
        service: &Service,
        profile: &StoredProfile,
        policy: &str,
        on: Day,
        key: &Bytes32,
    ) -> Result<(), Problem>;
}

/// No insurer is configured: nobody quotes, and owners are told what is free.
#[derive(Debug, Clone, Copy)]
pub struct NoMarket;

#[async_trait::async_trait]
impl GapMarket for NoMarket {
    async fn quote(
        &self,
        _: &Service,
        _: &StoredProfile,
        _: &QuoteAsk,
        _: &Bytes32,
    ) -> Result<Option<Quoted>, Problem> {
        Ok(None)
    }

    async fn enrol(
        &self,
        _: &Service,
        _: &StoredProfile,
        _: &str,
        _: Day,
        _: &Approval,
        _: &Bytes32,
    ) -> Result<Option<(String, Day)>, Problem> {
        Ok(None)
    }

    async fn end(
        &self,
        _: &Service,
        _: &StoredProfile,
        _: &str,
        _: Day,
        _: &Bytes32,
    ) -> Result<(), Problem> {
        Ok(())
    }
}

impl Job<'_> {
    pub(super) async fn gap(&self, action: &Action) -> Result<Done, Problem> {
        let (service, profile) = (self.service, self.profile);
        let (market, key) = (&service.market, &self.claimed.task);
        let event = match action {
            Action::Quote {
                offer,
                attempt,
                jurisdiction,
                from,
            } => {
                let ask = QuoteAsk {
                    attempt: *attempt,
                    jurisdiction: *jurisdiction,
                    from: *from,
                };
                match market.quote(service, profile, &ask, key).await? {
                    Some(Quoted { quote }) => Event::GapQuoted {
                        offer: *offer,
                        quote,
                    },
                    None => Event::GapRefused { offer: *offer },
                }
            }
            Action::Enrol { offer, quote, from } => {
                let approval = self.approval(*offer).await?;
                let enrolled = market
                    .enrol(service, profile, quote, *from, &approval, key)
                    .await?;
                match enrolled {
                    Some((policy, from)) => Event::GapEnrolled {
                        offer: *offer,
                        policy,
                        from,
                    },
                    None => Event::GapRefused { offer: *offer },
                }
            }
            Action::EndGap { policy, on } => {
                market.end(service, profile, policy, *on, key).await?;
                return Ok(Done::default());
            }
            _ => return Err(Problem::internal()),
        };
        Ok(Done {
            events: vec![(self.source(), event)],
            ..Done::default()
        })
    }

    /// The owner's YES to an offer, entered in the ledger before anything is bought with it.
    async fn approval(&self, offer: u32) -> Result<Approval, Problem> {
        let name = approval_of(&Matter::Gap { offer });
        let approval: Option<Approval> = self.document(&name).await?;
        let approval = approval
            .filter(|approval| approval.answer == Answer::Yes)
            .ok_or_else(|| {
                Problem::conflict(
                    "not-approved",
                    "the owner's signed YES to this offer is missing",
                )
            })?;
        // The same salt at every attempt, so that a repeated call enters the same.
        let salt = self.key_salt();
        let entry = Entry::new(EntryKind::Approval, &salt, &approval);
        self.service.oracles.append(entry).await?;
        Ok(approval)
    }

    fn key_salt(&self) -> Bytes32 {
        let secret = self
            .service
            .operator
            .derive("shp/v1/approval-salt", &self.claimed.task.0);
        Bytes32::from(*secret)
    }
}

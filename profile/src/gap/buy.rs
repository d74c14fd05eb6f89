//! Buying and ending.

use contracts::application::{Application, Approval, ProofClaims, wallet_proof};
use contracts::encoding::Bytes32;
use contracts::gap::{Ending, Exchange, Offer, Policy, Purchase, Statement, purchase_id, settle};
use contracts::units::Day;
use oracles::problem::Problem;

use super::Opened;
use super::insurer::Exchanged;
use crate::oracle::Decision;
use crate::question::{Proved, kind};
use crate::service::Service;
use crate::store::gap::{
    PolicyState, StoredPolicy, begin_ending, insert_purchase, settle_ending, settle_purchase,
};
use crate::store::{StoreError, StoredProfile};

/// The insurer's code for a policy that has ended on another day.
pub(super) const ENDED: &str = "ended";

/// The code for days that another policy covers, or may cover.
pub(super) const COVERED: &str = "covered";

/// The days that a policy is bought for.
#[derive(Debug, Clone)]
pub struct Term {
    /// The first.
    pub from: Day,
    /// The day on which it is to be ended, because another policy begins.
    pub until: Option<Day>,
    /// A policy of before that is still to be ended, and the day.
    pub expiring: Option<(String, Day)>,
}

impl Term {
    /// From a day on.
    pub fn from(from: Day) -> Self {
        Self {
            from,
            until: None,
            expiring: None,
        }
    }
}

/// The token that a purchase rests on, and the index of the key that it is bound to.
struct Backing {
    jti: Bytes32,
    token: String,
    confirmation: u32,
}

impl Service {
    /// The decision id that the owner's YES to an offer is to be about.
    ///
    /// # Errors
    /// 404 for an offer or question of somebody else's; 409 before the question has a token for this insurer.
    pub async fn gap_decision(
        &self,
        profile: &StoredProfile,
        question: &Bytes32,
        offer: &Bytes32,
    ) -> Result<Bytes32, Problem> {
        let (opened, offer) = self.opened_by_offer(profile, offer).await?;
        let backing = self.backing(profile, question, &opened).await?;
        Ok(purchase_id(&backing.jti, &offer))
    }

    /// Takes an offer, on the owner's YES to [`Service::gap_decision`]. One policy for an enquiry, and no day covered twice;
    /// repeated, it brings the same policy.
    ///
    /// # Errors
    /// 400 for a day that is not the offer's; 409 `covered`, or the insurer's refusal; 502, 503 (do the same again).
    pub async fn gap_enrol(
        &self,
        profile: &StoredProfile,
        question: &Bytes32,
        offer: &Bytes32,
        term: &Term,
        approval: &Approval,
    ) -> Result<Policy, Problem> {
        let _lock = self.locks.hold(profile.profile).await;
        let (opened, offer) = self.opened_by_offer(profile, offer).await?;
        if offer.start != term.from {
            return Err(Problem::bad_request(
                "from_day: the offer is for another day; ask for offers from this one",
            ));
        }
        let enquiry = opened.stored.enquiry;
        let backing = self.backing(profile, question, &opened).await?;
        let new = StoredPolicy {
            enquiry,
            offer: offer.offer,
            question: *question,
            state: PolicyState::Buying,
            start: offer.start,
            end: offer.latest_end,
            ending: None,
            document: None,
            statement: None,
        };
        let now = self.clock.now();
        let mut tx = self.store.begin().await?;
        if !insert_purchase(&mut tx, &profile.profile, &new, term, now).await? {
            return Err(Problem::conflict(
                COVERED,
                "a policy covers, or may cover, some of these days: end it first",
            ));
        }
        tx.commit().await.map_err(StoreError::from)?;
        let stored = self.store.gap_purchase(&profile.profile, &enquiry).await?;
        let stored = stored.ok_or_else(Problem::internal)?;
        if stored.offer != offer.offer {
            return Err(Problem::conflict(
                "enquiry-used",
                "another offer of this enquiry was taken: ask for offers anew",
            ));
        }
        if let Some(document) = &stored.document {
            return opened.open("policy", document);
        }
        let policy = self
            .purchase(profile, &opened, &offer, &backing, approval)
            .await?;
        let mut tx = self.store.begin().await?;
        let result = match policy {
            Ok(policy) => {
                let sealed = opened.seal("policy", &policy)?;
                let sold = (&policy.terms.policy, sealed.as_str());
                settle_purchase(&mut tx, &enquiry, Some(sold), self.clock.now()).await?;
                Ok(policy)
            }
            Err(code) => {
                settle_purchase(&mut tx, &enquiry, None, self.clock.now()).await?;
                Err(Problem::conflict(&code, "the insurer refused to sell"))
            }
        };
        tx.commit().await.map_err(StoreError::from)?;
        result
    }

    /// Ends a policy on a day, the first without cover. Repeated for the same day, it brings the same statement.
    ///
    /// # Errors
    /// 404 for another profile's; 409 `end` for a day that the policy's rules do not allow, `ended` if it ended on another,
    /// `ending` if it may have.
    pub async fn gap_end(
        &self,
        profile: &StoredProfile,
        policy: &Bytes32,
        on_day: Day,
    ) -> Result<Statement, Problem> {
        let _lock = self.locks.hold(profile.profile).await;
        let unknown = || Problem::not_found("no such policy of this profile");
        let stored = self
            .store
            .gap_policy(&profile.profile, policy)
            .await?
            .ok_or_else(unknown)?;
        let (opened, offer) = self.opened_by_offer(profile, &stored.offer).await?;
        let other_day = || Problem::conflict(ENDED, "the policy has ended, on another day");
        if let Some(statement) = &stored.statement {
            let statement: Statement = opened.open("statement", statement)?;
            return match statement.terms.end == on_day {
                true => Ok(statement),
                false => Err(other_day()),
            };
        }
        let backing = self.backing(profile, &stored.question, &opened).await?;
        let mut tx = self.store.begin().await?;
        if !begin_ending(&mut tx, &stored.enquiry, on_day, self.clock.now()).await? {
            return Err(Problem::conflict(
                "ending",
                "the policy may have ended on another day: end it on that one first",
            ));
        }
        tx.commit().await.map_err(StoreError::from)?;

        let claims = ProofClaims {
            aud: opened.stored.insurer.clone(),
            jti: backing.jti,
            approval: Ending::id(policy, on_day),
            iat: self.clock.now(),
        };
        let ending = Ending {
            policy: *policy,
            end: on_day,
            proof: self
                .wallet(profile)?
                .confirmation(backing.confirmation)?
                .with(|secret, _| wallet_proof(&claims, secret)),
        };
        let insurer = self.insurer(&opened.stored.insurer)?;
        let answer = insurer
            .exchange(
                Exchange::Ending,
                &opened.asked.hpke_key,
                &opened.asked.reply(),
                &ending,
            )
            .await?;
        let statement: Statement = match answer {
            Exchanged::Answer(statement) => statement,
            // On a day that is not known here, so there is no statement of it.
            Exchanged::Refused(code) if code == ENDED => return Err(other_day()),
            Exchanged::Refused(code) => {
                let mut tx = self.store.begin().await?;
                settle_ending(&mut tx, &stored.enquiry, None, self.clock.now()).await?;
                tx.commit().await.map_err(StoreError::from)?;
                return Err(Problem::conflict(
                    &code,
                    "the insurer refused to end the policy then",
                ));
            }
        };
        check(&opened, &offer, policy, on_day, &statement).map_err(|why| insurer.refused(why))?;
        if !statement.verifies(insurer.key()) {
            return Err(insurer.refused("its statement is not signed by it"));
        }
        let sealed = opened.seal("statement", &statement)?;
        let mut tx = self.store.begin().await?;
        let ended = Some((on_day, sealed.as_str()));
        settle_ending(&mut tx, &stored.enquiry, ended, self.clock.now()).await?;
        tx.commit().await.map_err(StoreError::from)?;
        Ok(statement)
    }

    /// The profile's purchases in the order of their days, with their states.
    ///
    /// # Errors
    /// The database's.
    pub async fn gap_policies(
        &self,
        profile: &StoredProfile,
    ) -> Result<Vec<StoredPolicy>, Problem> {
        Ok(self.store.gap_policies(&profile.profile).await?)
    }

    /// Makes the purchase; the code of a refusal is inside.
    async fn purchase(
        &self,
        profile: &StoredProfile,
        opened: &Opened,
        offer: &Offer,
        backing: &Backing,
        approval: &Approval,
    ) -> Result<Result<Policy, String>, Problem> {
        let claims = ProofClaims {
            aud: opened.stored.insurer.clone(),
            jti: backing.jti,
            approval: approval.hash(),
            iat: self.clock.now(),
        };
        let purchase = Purchase {
            offer: offer.clone(),
            application: Application {
                token: backing.token.clone(),
                approval: approval.clone(),
                wallet_proof: self
                    .wallet(profile)?
                    .confirmation(backing.confirmation)?
                    .with(|secret, _| wallet_proof(&claims, secret)),
                // An insurer learns no more of who replied than of whom it covers.
                representation: None,
            },
        };
        let insurer = self.insurer(&opened.stored.insurer)?;
        let answer = insurer
            .exchange(
                Exchange::Purchase,
                &opened.asked.hpke_key,
                &opened.asked.reply(),
                &purchase,
            )
            .await?;
        let policy: Policy = match answer {
            Exchanged::Answer(policy) => policy,
            Exchanged::Refused(code) => return Ok(Err(code)),
        };
        if policy.terms.offer != *offer {
            return Err(insurer.refused("its policy is of another offer"));
        }
        if !policy.verifies(insurer.key()) {
            return Err(insurer.refused("its policy is not signed by it"));
        }
        Ok(Ok(policy))
    }

    /// The token of a question to this insurer.
    async fn backing(
        &self,
        profile: &StoredProfile,
        question: &Bytes32,
        opened: &Opened,
    ) -> Result<Backing, Problem> {
        let (question, key) = self.keyed(profile, question).await?;
        if question.audience != opened.stored.insurer {
            return Err(Problem::conflict(
                "audience",
                "the question's token is for somebody else than this insurer",
            ));
        }
        let decision: Decision = self.decided(&question, &key, kind::DECISION).await?;
        let proved: Proved = self.decided(&question, &key, kind::PROVED).await?;
        Ok(Backing {
            jti: proved.presentation.digest(),
            token: decision.token,
            confirmation: proved.confirmation,
        })
    }
}

/// What a statement must say: this policy, these days, and an account that closes by the published rules.
fn check(
    opened: &Opened,
    offer: &Offer,
    policy: &Bytes32,
    end: Day,
    statement: &Statement,
) -> Result<(), &'static str> {
    let terms = &statement.terms;
    if terms.policy != *policy || terms.start != offer.start || terms.end != end {
        return Err("its statement is about another policy or other days");
    }
    let account = &terms.settlement;
    let balanced = account.earned.0.checked_add(account.refunded.0) == Some(account.billed.0);
    let rules = opened.rules(offer).map_err(|_| "its plan is unknown")?;
    // What is owed follows from the days alone; what was billed by then, from the day that the insurer heard of it.
    let owed = settle(
        offer.premium,
        offer.start,
        offer.latest_end,
        end,
        end,
        &rules,
    );
    let owed = owed.map(|account| account.earned);
    if !balanced || account.refunded.0 < 0 || owed != Ok(account.earned) {
        return Err("its account does not close by its published rules");
    }
    Ok(())
}

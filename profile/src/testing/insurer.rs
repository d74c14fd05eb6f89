//! An insurer: quotes by the published plan file, sells a purchase once, ends a policy once.

use actix_web::{HttpResponse, web};
use contracts::application::{Answer, Approval, Relying, reply_message, verify_approved};
use contracts::encoding::{Bytes, Bytes32, tagged_hash};
use contracts::gap::{
    Ending, Enquiry, Exchange, Offer, PlanFile, Policy, PolicyTerms, Published, Purchase,
    Statement, StatementTerms, padded, purchase_id, settle,
};
use contracts::units::Cents;
use ed25519_dalek::Signer;
use oracles::hpke::{self, Sealed};
use oracles::problem::Problem;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{ISSUER, Lie, Network, World, lost};

pub(crate) const INSURER: &str = "insurer.bridge-mutual";
const PLANS: &[u8] = include_bytes!("../../../fixtures/plans/bridge-mutual.json");

type Net = web::Data<Network>;

/// What it remembers: the enquirer's key and offers by enquiry, policies by purchase, statements by policy.
#[derive(Default)]
pub(crate) struct Books {
    enquiries: Vec<(Enquiry, Vec<Offer>)>,
    pub(crate) policies: Vec<(Bytes32, Bytes32, Policy)>,
    pub(crate) statements: Vec<Statement>,
}

pub(super) fn routes(config: &mut web::ServiceConfig) {
    config
        .route("/insurer/v1/plans", web::get().to(plans))
        .route("/insurer/v1/enquiries", web::post().to(enquire))
        .route("/insurer/v1/policies", web::post().to(buy))
        .route("/insurer/v1/endings", web::post().to(end));
}

fn file() -> PlanFile {
    PlanFile::parse(PLANS).unwrap()
}

async fn plans(net: Net) -> HttpResponse {
    let file = file();
    let hpke_key = *net.insurer_hpke.public();
    let message = Published::message(&file, &hpke_key);
    let signature = match net.lies(Lie::UnsignedPlans) {
        true => net.notifier_key.sign(&message),
        false => net.insurer_key.sign(&message),
    };
    HttpResponse::Ok().json(Published {
        file,
        hpke_key,
        signature: Bytes(signature.to_bytes()),
    })
}

fn open<T: DeserializeOwned>(net: &Network, exchange: Exchange, body: &[u8]) -> (T, Vec<u8>) {
    let sealed: Sealed = serde_json::from_slice(body).unwrap();
    let plain = net
        .insurer_hpke
        .open(&exchange.request_info(INSURER), &[], &sealed)
        .unwrap();
    net.with(|memory| memory.heard.push(plain.to_vec()));
    (serde_json::from_slice(&plain).unwrap(), plain.to_vec())
}

fn answer<T: Serialize>(
    net: &Network,
    exchange: Exchange,
    request: &[u8],
    to: &Bytes32,
    answer: &T,
) -> Result<HttpResponse, Problem> {
    if net.loses(Lie::InsurerAnswerLost) {
        return Err(lost());
    }
    let info = exchange.answer_info(INSURER, request);
    let sealed = hpke::seal(to, &info, &[], &padded(answer)).unwrap();
    Ok(HttpResponse::Ok().json(sealed))
}

async fn enquire(net: Net, body: web::Bytes) -> Result<HttpResponse, Problem> {
    net.with(|memory| *memory.calls.entry("enquiry".to_owned()).or_default() += 1);
    if net.lies(Lie::QuotesDown) {
        return Err(lost());
    }
    let exchange = Exchange::Enquiry;
    let (enquiry, plain): (Enquiry, _) = open(&net, exchange, &body);
    let file = file();
    let mut offers: Vec<Offer> = file
        .plans
        .iter()
        .filter_map(|plan| {
            Some(Offer {
                offer: Offer::id(&enquiry.enquiry, &plan.id),
                enquiry: enquiry.enquiry,
                file: file.hash(),
                plan: plan.id.clone(),
                premium: plan.quote(&enquiry).ok()?,
                start: enquiry.start,
                latest_end: enquiry.start.plus(i64::from(plan.end.longest)).unwrap(),
                until: enquiry.start,
            })
        })
        .collect();
    if net.lies(Lie::OtherPremium) {
        offers[0].premium.0 += 1;
    }
    let reply_key = enquiry.reply_key;
    let offers = net.with(|memory| {
        let books = &mut memory.books;
        match books
            .enquiries
            .iter()
            .find(|(one, _)| one.enquiry == enquiry.enquiry)
        {
            Some((known, offers)) => {
                assert_eq!(*known, enquiry, "one id, one enquiry");
                offers.clone()
            }
            None => {
                books.enquiries.push((enquiry, offers.clone()));
                offers
            }
        }
    });
    answer(&net, exchange, &plain, &reply_key, &offers)
}

async fn buy(net: Net, body: web::Bytes) -> Result<HttpResponse, Problem> {
    let exchange = Exchange::Purchase;
    let (purchase, plain): (Purchase, _) = open(&net, exchange, &body);
    let Purchase { offer, application } = purchase;
    let relying = Relying {
        issuer: ISSUER,
        audience: INSURER,
        keys: &net.trust.decision_keys(),
        notifier_key: &net.notifier_key.verifying_key(),
        now: net.clock.now(),
    };
    let claims = verify_approved(&application, |it| purchase_id(&it.jti, &offer), &relying)
        .map_err(|error| Problem::conflict("approval", error.to_string()))?;
    let id = purchase_id(&claims.jti, &offer);
    let (to, mut policy) = net.with(|memory| {
        let books = &mut memory.books;
        let known = books
            .enquiries
            .iter()
            .find(|(one, _)| one.enquiry == offer.enquiry);
        let (enquiry, offers) = known.unwrap();
        assert!(offers.contains(&offer));
        let to = enquiry.reply_key;
        if let Some((_, _, policy)) = books.policies.iter().find(|(bought, _, _)| *bought == id) {
            return (to, policy.clone());
        }
        let terms = PolicyTerms {
            policy: tagged_hash("test/policy", &[&id.0]).into(),
            offer: offer.clone(),
            issued_at: net.clock.now(),
        };
        let signature = Bytes(net.insurer_key.sign(&terms.message()).to_bytes());
        let policy = Policy { terms, signature };
        books.policies.push((id, claims.jti, policy.clone()));
        (to, policy)
    });
    if net.lies(Lie::ForgedPolicy) {
        policy.terms.issued_at.0 += 1;
    }
    answer(&net, exchange, &plain, &to, &policy)
}

async fn end(net: Net, body: web::Bytes) -> Result<HttpResponse, Problem> {
    if net.lies(Lie::EndingsDown) {
        return Err(lost());
    }
    let exchange = Exchange::Ending;
    let (ending, plain): (Ending, _) = open(&net, exchange, &body);
    let today = net.clock.today();
    let refused = || {
        let status = actix_web::http::StatusCode::UNPROCESSABLE_ENTITY;
        Problem::new(status, "end", "Refused", "too far back")
    };
    let (to, statement) = net.with(|memory| {
        let books = &mut memory.books;
        let of =
            |(_, _, policy): &&(Bytes32, Bytes32, Policy)| policy.terms.policy == ending.policy;
        let offer = books
            .policies
            .iter()
            .find(of)
            .unwrap()
            .2
            .terms
            .offer
            .clone();
        let enquiry = books
            .enquiries
            .iter()
            .find(|(one, _)| one.enquiry == offer.enquiry);
        let to = enquiry.unwrap().0.reply_key;
        let known = books
            .statements
            .iter()
            .find(|one| one.terms.policy == ending.policy);
        if let Some(statement) = known {
            return Ok((to, statement.clone()));
        }
        let rules = file().plan(&offer.plan).unwrap().end;
        let (start, latest) = (offer.start, offer.latest_end);
        let earliest = today.plus(-i64::from(rules.back)).unwrap().max(start);
        if ending.end < earliest || ending.end > latest {
            return Err(refused());
        }
        let settlement = settle(offer.premium, start, latest, ending.end, today, &rules).unwrap();
        let terms = StatementTerms {
            policy: ending.policy,
            start,
            end: ending.end,
            settlement,
        };
        let signature = Bytes(net.insurer_key.sign(&terms.message()).to_bytes());
        let statement = Statement { terms, signature };
        books.statements.push(statement.clone());
        Ok((to, statement))
    })?;
    if statement.terms.end != ending.end {
        return Err(Problem::conflict("ended", "on another day"));
    }
    let mut statement = statement;
    if net.lies(Lie::ShortRefund) {
        let account = &mut statement.terms.settlement;
        (account.earned, account.refunded) = (account.billed, Cents(0));
        let message = statement.terms.message();
        statement.signature = Bytes(net.insurer_key.sign(&message).to_bytes());
    }
    answer(&net, exchange, &plain, &to, &statement)
}

impl World {
    /// The owner's YES or NO to something, as the notifier signs it.
    pub(crate) fn approval(&self, about: Bytes32, answer: Answer) -> Approval {
        let replied_at = self.network.clock.now();
        let message = reply_message(&about.to_string(), &answer.to_string(), replied_at);
        let signature = self.network.notifier_key.sign(message.as_bytes());
        Approval {
            decision_id: about,
            answer,
            replied_at,
            notifier_signature: Bytes(signature.to_bytes()),
        }
    }

    /// First days without cover of the policies that ended.
    pub(crate) fn ended_on(&self) -> Vec<contracts::units::Day> {
        let ended = |memory: &mut super::Memory| {
            let statements = memory.books.statements.iter();
            statements.map(|statement| statement.terms.end).collect()
        };
        self.network.with(ended)
    }

    /// How many purchases brought a policy, and how many policies ended.
    pub(crate) fn sold(&self) -> (usize, usize) {
        self.network.with(|memory| {
            let books = &memory.books;
            (books.policies.len(), books.statements.len())
        })
    }
}

impl Network {
    pub(crate) fn clock_today(&self) -> contracts::units::Day {
        self.clock.today()
    }

    pub(crate) fn clock_now(&self) -> contracts::units::UnixTime {
        self.clock.now()
    }
}

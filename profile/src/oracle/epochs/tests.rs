//! A profile whose trust file and configuration are of epoch 1, and nodes that tell it what changed, or lie.

use std::collections::BTreeMap;
use std::net::TcpListener;
use std::sync::{Arc, Mutex, RwLock};

use actix_web::dev::ServerHandle;
use actix_web::{App, HttpResponse, HttpServer, web};
use contracts::checkpoint::Checkpoint;
use contracts::encoding::{Blob, Bytes, Bytes32};
use contracts::epoch::{EpochChange, EpochKey, EpochStatement, MAX_CHANGES_BYTES, VERSION};
use contracts::ids::{Committee, Domain, NodeId, quorum};
use contracts::merkle;
use contracts::receipt::{Entry, Receipt};
use contracts::trust::{CommitteeKey, Suite, Trust};
use ed25519_dalek::{Signer as _, SigningKey};
use frost_secp256k1::SigningKey as RootKey;
use oracles::clock::Clock;
use rand_core::OsRng;

use crate::config::{AskConfig, BaseUrl, NodeConfig};
use crate::oracle::{Known, Oracles};

const ORIGIN: &str = "log.example/test";

/// What each node answers, by its number; none refuses.
type Accounts = web::Data<Mutex<BTreeMap<u16, Vec<u8>>>>;

struct World {
    income: RootKey,
    ledger: SigningKey,
    log: Vec<Entry>,
    accounts: Accounts,
    server: ServerHandle,
    oracles: Oracles,
}

fn nodes(numbers: &[u16]) -> Vec<NodeId> {
    numbers.iter().map(|n| NodeId::new(*n).unwrap()).collect()
}

impl World {
    fn new() -> Self {
        let (income, ledger) = (RootKey::new(&mut OsRng), SigningKey::generate(&mut OsRng));
        let accounts: Accounts = web::Data::new(Mutex::default());
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let shared = accounts.clone();
        let server = HttpServer::new(move || {
            App::new().app_data(shared.clone()).route(
                "/n/{node}/v1/epochs",
                web::get().to(|accounts: Accounts, node: web::Path<u16>| async move {
                    match accounts.lock().unwrap().get(&node) {
                        Some(body) => HttpResponse::Ok().body(body.clone()),
                        None => HttpResponse::ServiceUnavailable().finish(),
                    }
                }),
            )
        })
        .workers(1)
        .disable_signals()
        .listen(listener)
        .unwrap()
        .run();
        let handle = server.handle();
        tokio::spawn(server);
        let key = CommitteeKey::fact(Domain::Income, 1, &(&income).into());
        let trust = Trust::new(
            "https://issuer.example".to_owned(),
            ORIGIN.to_owned(),
            ledger.verifying_key(),
            vec![key],
        );
        let committees = [Committee::Income, Committee::Ledger];
        let oracles = Oracles {
            http: oracles::http::client(),
            nodes: nodes(&[1, 2, 3, 4, 5])
                .into_iter()
                .map(|id| {
                    let node = NodeConfig {
                        id,
                        url: BaseUrl::try_from(format!("{base}/n/{id}")).unwrap(),
                        hpke_key: Bytes([9; 32]),
                        hpke_epoch: 1,
                    };
                    (id, node)
                })
                .collect(),
            known: RwLock::new(Known {
                trust: Arc::new(trust.unwrap()),
                committees: committees
                    .map(|committee| (committee, (nodes(&[1, 2, 3, 4]), 3)))
                    .into(),
                epochs: BTreeMap::new(),
            }),
            ask: AskConfig::default(),
            clock: Clock::system(),
        };
        Self {
            income,
            ledger,
            log: Vec::new(),
            accounts,
            server: handle,
            oracles,
        }
    }

    fn statement(&self, committee: Committee, epoch: u64, members: &[u16]) -> EpochStatement {
        let group = match committee {
            Committee::Ledger => Blob(self.ledger.verifying_key().to_bytes().to_vec()),
            _ => {
                let key = frost_secp256k1::VerifyingKey::from(&self.income);
                Blob(key.serialize().unwrap())
            }
        };
        let key = EpochKey {
            key: committee.as_str().to_owned(),
            suite: Suite::of(committee).to_string(),
            shares: vec![group.clone(); members.len()],
            group,
        };
        EpochStatement {
            version: VERSION,
            committee,
            epoch,
            previous: epoch - 1,
            former: nodes(&[1, 2, 3, 4]),
            members: nodes(members),
            threshold: quorum(u16::try_from(members.len()).unwrap()),
            keys: vec![key],
            transcript: Bytes([3; 32]),
        }
    }

    fn signed_by(&self, statement: &EpochStatement, root: &RootKey, ledger: &SigningKey) -> Blob {
        let message = statement.message();
        match statement.committee {
            Committee::Ledger => Blob(ledger.sign(&message).to_bytes().to_vec()),
            _ => Blob(root.sign(OsRng, &message).serialize().unwrap()),
        }
    }

    /// A change as the committee signed it and the log holds it.
    fn change(&mut self, committee: Committee, epoch: u64, members: &[u16]) -> EpochChange {
        let statement = self.statement(committee, epoch, members);
        let signature = self.signed_by(&statement, &self.income, &self.ledger);
        self.log.push(statement.entry());
        EpochChange {
            receipt: Some(self.receipt(&self.ledger)),
            signature,
            statement,
        }
    }

    /// The receipt of the last entry, of a checkpoint under this key.
    fn receipt(&self, key: &SigningKey) -> Receipt {
        let hashes: Vec<[u8; 32]> = self.log.iter().map(Entry::leaf_hash).collect();
        let checkpoint = Checkpoint {
            origin: ORIGIN.to_owned(),
            size: hashes.len() as u64,
            root: Bytes32::from(merkle::root(&hashes)),
        };
        let signature = key.sign(checkpoint.body().as_bytes());
        let index = hashes.len() - 1;
        Receipt {
            entry: self.log[index],
            index: index as u64,
            path: merkle::inclusion_path(&hashes, index).unwrap(),
            checkpoint: checkpoint
                .encode(&key.verifying_key(), &Bytes(signature.to_bytes()))
                .unwrap(),
        }
    }

    fn tells(&self, node: u16, changes: &[EpochChange]) {
        self.says(node, serde_json::to_vec(changes).unwrap());
    }

    fn says(&self, node: u16, body: Vec<u8>) {
        self.accounts.lock().unwrap().insert(node, body);
    }

    fn members(&self, committee: Committee) -> (Vec<NodeId>, u16) {
        self.oracles.committee(committee)
    }

    async fn end(self) {
        self.server.stop(false).await;
    }
}

#[actix_web::test]
async fn epochs_are_followed_in_order_from_whoever_tells_of_them_and_once() {
    let mut world = World::new();
    assert!(!world.oracles.follow().await, "nobody answers");
    let second = world.change(Committee::Income, 2, &[1, 2, 3, 5]);
    let third = world.change(Committee::Income, 3, &[2, 3, 4, 5]);
    // One that leaves an epoch out cannot be followed; one that tells them in any order can.
    world.tells(1, std::slice::from_ref(&third));
    assert!(!world.oracles.follow().await);
    assert_eq!(
        world.members(Committee::Income).0,
        nodes(&[1, 2, 3, 4]),
        "nothing changed"
    );
    world.tells(2, std::slice::from_ref(&second));
    assert!(world.oracles.follow().await);
    assert_eq!(world.members(Committee::Income), (nodes(&[1, 2, 3, 5]), 3));
    assert!(world.oracles.trust().fact_key(Domain::Income, 2).is_some());
    world.tells(3, &[third, second]);
    assert!(world.oracles.follow().await);
    assert_eq!(world.members(Committee::Income), (nodes(&[2, 3, 4, 5]), 3));
    assert!(world.oracles.trust().fact_key(Domain::Income, 3).is_some());
    assert!(!world.oracles.follow().await, "known already");
    world.end().await;
}

#[actix_web::test]
async fn the_ledgers_members_are_followed_under_its_one_key() {
    let mut world = World::new();
    let changed = world.change(Committee::Ledger, 2, &[1, 2, 3, 5]);
    world.tells(4, &[changed]);
    assert!(world.oracles.follow().await);
    assert_eq!(world.members(Committee::Ledger), (nodes(&[1, 2, 3, 5]), 3));
    // An earlier one that a node tells of late takes nobody back.
    let earlier = world.change(Committee::Ledger, 2, &[1, 2, 3, 4]);
    world.tells(1, &[earlier]);
    assert!(!world.oracles.follow().await);
    assert_eq!(world.members(Committee::Ledger), (nodes(&[1, 2, 3, 5]), 3));
    world.end().await;
}

#[actix_web::test]
async fn a_node_that_lies_about_epochs_moves_nobody_and_spoils_no_other_account() {
    let mut world = World::new();
    let honest = world.change(Committee::Income, 2, &[1, 2, 3, 5]);
    let (strange_root, strange_log) = (RootKey::new(&mut OsRng), SigningKey::generate(&mut OsRng));
    let mine = world.statement(Committee::Income, 2, &[4, 5, 1]);
    let mut own_members = honest.clone();
    own_members.statement.members = nodes(&[2, 3, 4, 5]);
    let own_key = EpochChange {
        signature: world.signed_by(&honest.statement, &strange_root, &strange_log),
        ..honest.clone()
    };
    let unlogged = EpochChange {
        receipt: None,
        ..honest.clone()
    };
    let own_log = EpochChange {
        receipt: Some(world.receipt(&strange_log)),
        ..honest.clone()
    };
    world.log.push(mine.entry());
    let logged_only = EpochChange {
        signature: world.signed_by(&mine, &strange_root, &strange_log),
        receipt: Some(world.receipt(&world.ledger)),
        statement: mine,
    };
    let lies = [own_members, own_key, unlogged, own_log, logged_only];
    for lie in &lies {
        world.tells(1, std::slice::from_ref(lie));
        assert!(!world.oracles.follow().await, "{lie:?}");
    }
    world.says(1, b"not JSON".to_vec());
    assert!(!world.oracles.follow().await);
    // More than is read at all, true to the last byte.
    let mut padded = vec![b' '; MAX_CHANGES_BYTES];
    padded.extend(serde_json::to_vec(std::slice::from_ref(&honest)).unwrap());
    world.says(1, padded);
    assert!(!world.oracles.follow().await);
    assert_eq!(world.members(Committee::Income), (nodes(&[1, 2, 3, 4]), 3));

    world.tells(1, &lies);
    world.says(2, b"{}".to_vec());
    world.tells(3, &[honest]);
    assert!(world.oracles.follow().await);
    assert_eq!(world.members(Committee::Income), (nodes(&[1, 2, 3, 5]), 3));
    world.end().await;
}

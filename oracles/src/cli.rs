//! The command line of a node, callable from any binary that wants to run one.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Parser, Subcommand, ValueEnum};
use contracts::ids::{Committee, NodeId};
use contracts::units::Period;

use crate::ceremony::epoch::Kind;
use crate::ceremony::{dkg, epoch};
use crate::config::NodeConfig;
use crate::desk::{self, DeskConfig, StaffKey};
use crate::keys::{KeyError, NodeIdentity, OperatorKey, PublicKeys};
use crate::peer::Peers;
use crate::wire::info::{self, NodeInfo};
use crate::{backup, http, node, probe};

/// Runs one oracle node, or generates its keys.
#[derive(Debug, Parser)]
#[command(name = "oracle", version)]
struct Arguments {
    /// How lines are written to the log, on standard error
    #[arg(long, value_enum, default_value_t = LogFormat::Json, global = true)]
    log: LogFormat,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum LogFormat {
    /// One JSON object a line
    Json,
    /// For people
    Text,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Make a node's own keys and print the public ones, to be listed in every node's configuration
    Init {
        /// Folder of the node; made if missing
        #[arg(long)]
        data: PathBuf,
        /// File for the operator key, better on another device; DATA/operator.key if not given
        #[arg(long)]
        operator_key: Option<PathBuf>,
    },
    /// Generate the committees' keys together with all other nodes, which must be running
    Dkg {
        /// The node's configuration
        #[arg(long)]
        config: PathBuf,
    },
    /// Give a committee the members of the configuration, by new shares of the same key; all nodes must run with it
    Reshare {
        /// The node's configuration, with the new members
        #[arg(long)]
        config: PathBuf,
        /// The committee, such as income
        #[arg(long)]
        committee: Committee,
    },
    /// Give a committee's members new shares of the same key; old shares become worthless
    Refresh {
        /// The node's configuration
        #[arg(long)]
        config: PathBuf,
        /// The committee, such as income
        #[arg(long)]
        committee: Committee,
    },
    /// Run the node until it is told to stop
    Run {
        /// The node's configuration
        #[arg(long)]
        config: PathBuf,
        /// Stop when standard input closes, for a parent process that must not leave nodes behind
        #[arg(long)]
        until_stdin_closes: bool,
    },
    /// Write the node's keys and database to one file, encrypted under its operator key; it may run meanwhile
    Backup {
        /// The node's configuration
        #[arg(long)]
        config: PathBuf,
        /// The file, which may not exist yet
        #[arg(long)]
        out: PathBuf,
    },
    /// Put a backup back in the place of lost files; the node then signs nothing until its peers told it what it forgot
    Restore {
        /// The node's configuration
        #[arg(long)]
        config: PathBuf,
        /// The backup
        #[arg(long)]
        from: PathBuf,
    },
    /// Read one attribute from its sources for one record and show each step; writes nothing, and needs no running node
    Probe {
        /// The node's configuration
        #[arg(long)]
        config: PathBuf,
        /// The attribute, such as income.magi_monthly
        #[arg(long)]
        attribute: String,
        /// A source key of the record as NAME=VALUE; give it once for each name that the mapping uses
        #[arg(long = "key", value_parser = key_value)]
        keys: Vec<(String, String)>,
        /// The reference period as FIRST/LAST, such as 2026-10-22/2026-11-20; today's if not given
        #[arg(long)]
        period: Option<Period>,
    },
    /// Run a desk where staff enter what they saw, or make a key for one of them
    #[command(subcommand)]
    Desk(DeskCommand),
    /// Print what the running node says of itself
    Info {
        /// The node's configuration
        #[arg(long)]
        config: PathBuf,
    },
}

#[derive(Debug, Subcommand)]
enum DeskCommand {
    /// Make a key for a member of staff: print it once, for the person alone, and the public key for configurations
    Key {
        /// The desk's name, as in its configuration
        #[arg(long)]
        desk: String,
    },
    /// Run the desk until it is told to stop
    Run {
        /// The desk's configuration
        #[arg(long)]
        config: PathBuf,
        /// Stop when standard input closes
        #[arg(long)]
        until_stdin_closes: bool,
    },
}

fn key_value(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("write NAME=VALUE")?;
    Ok((name.to_owned(), value.to_owned()))
}

/// Makes a node's own keys: an operator key file and, sealed under it, the node's identity. Neither may exist yet.
///
/// # Errors
/// See [`KeyError`].
pub fn init(data: &Path, operator_key: Option<&Path>) -> Result<PublicKeys, KeyError> {
    let operator_file = operator_key.map_or_else(|| data.join("operator.key"), Path::to_owned);
    let operator = OperatorKey::create(&operator_file)?;
    let identity = NodeIdentity::generate();
    identity.save(&data.join("identity.sealed"), &operator)?;
    Ok(identity.public_keys())
}

/// Generates the keys of a node's committees, speaking as that node to all nodes, which must be running.
///
/// # Errors
/// One line that names what to do.
pub async fn generate_keys(config: &NodeConfig) -> Result<Vec<dkg::Generated>, String> {
    dkg::generate_all(config, &own_peers(config)?)
        .await
        .map_err(|error| error.to_string())
}

/// The peers of a configuration, spoken to as its own node.
fn own_peers(config: &NodeConfig) -> Result<Peers, String> {
    let operator =
        OperatorKey::load(&config.operator_key_file()).map_err(|error| error.to_string())?;
    let identity = NodeIdentity::load(&config.identity_file(), &operator)
        .map_err(|error| error.to_string())?;
    Peers::new(config, identity).map_err(|error| error.to_string())
}

async fn change_epoch(config: &NodeConfig, committee: Committee, kind: Kind) -> Result<(), String> {
    let changed = epoch::request(config, &own_peers(config)?, committee, kind)
        .await
        .map_err(|error| error.to_string())?;
    let statement = &changed.change.statement;
    let list = |nodes: &[NodeId]| {
        nodes
            .iter()
            .map(NodeId::to_string)
            .collect::<Vec<_>>()
            .join(", ")
    };
    println!(
        "{committee} epoch {}: nodes {}, {} sign, transcript {}",
        statement.epoch,
        list(&statement.members),
        statement.threshold,
        statement.transcript
    );
    for (node, cause) in &changed.cheaters {
        println!("node {node} cheated and dealt nothing: {cause}");
    }
    if !changed.behind.is_empty() {
        println!(
            "not told yet, will catch up: nodes {}",
            list(&changed.behind)
        );
    }
    Ok(())
}

/// A program's arguments, the first its name.
///
/// # Errors
/// The exit code, once help, version or the fault is printed where it belongs. Help and version are not errors.
pub fn parse<A, I, T>(arguments: I) -> Result<A, ExitCode>
where
    A: Parser,
    I: IntoIterator<Item = T>,
    T: Into<OsString> + Clone,
{
    A::try_parse_from(arguments).map_err(|error| {
        let _ = error.print();
        ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2))
    })
}

/// Parses arguments (the first is the program's name) and does what they say, on a runtime of its own.
///
/// Logs go to standard error, as JSON lines unless `--log text` is given, filtered by `RUST_LOG` (`info` if not set).
pub fn run_role<I, T>(arguments: I) -> ExitCode
where
    I: IntoIterator<Item = T>,
    T: Into<OsString> + Clone,
{
    let arguments: Arguments = match parse(arguments) {
        Ok(arguments) => arguments,
        Err(code) => return code,
    };
    let filter = tracing_subscriber::EnvFilter::try_from_default_env()
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("info"));
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr);
    // A host program may have set up its own logging already.
    let _ = match arguments.log {
        LogFormat::Json => log.json().try_init(),
        LogFormat::Text => log.try_init(),
    };
    let runtime = match tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("oracle: no runtime: {error}");
            return ExitCode::FAILURE;
        }
    };
    match runtime.block_on(run(arguments.command)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("oracle: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(command: Command) -> Result<(), String> {
    let load = |config: &Path| NodeConfig::load(config).map_err(|error| error.to_string());
    match command {
        Command::Init { data, operator_key } => {
            let keys = init(&data, operator_key.as_deref()).map_err(|error| error.to_string())?;
            print!(
                "{}",
                toml::to_string(&keys).map_err(|error| error.to_string())?
            );
        }
        Command::Dkg { config } => {
            for generated in generate_keys(&load(&config)?).await? {
                let made = if generated.fresh {
                    "generated"
                } else {
                    "held already"
                };
                println!(
                    "{} epoch {}: {made}, transcript {}",
                    generated.key, generated.epoch, generated.transcript
                );
            }
        }
        Command::Reshare { config, committee } => {
            change_epoch(&load(&config)?, committee, Kind::Reshare).await?;
        }
        Command::Refresh { config, committee } => {
            change_epoch(&load(&config)?, committee, Kind::Refresh).await?;
        }
        Command::Run {
            config,
            until_stdin_closes,
        } => {
            let running = node::start(load(&config)?)
                .await
                .map_err(|error| error.to_string())?;
            stop_signal(until_stdin_closes).await;
            running.drain().await;
        }
        Command::Backup { config, out } => {
            let made = backup::backup(&load(&config)?, &out)
                .await
                .map_err(|error| error.to_string())?;
            println!("node {}: {}", made.node, described(&made));
        }
        Command::Restore { config, from } => {
            let put = backup::restore(&load(&config)?, &from).map_err(|error| error.to_string())?;
            println!(
                "node {} as of {}: {}",
                put.node,
                put.made_at.0,
                described(&put)
            );
        }
        Command::Probe {
            config,
            attribute,
            keys,
            period,
        } => {
            let keys = keys.into_iter().collect();
            let attribute = attribute.as_str().into();
            let probe = probe::probe(&load(&config)?, &attribute, &keys, period).await?;
            print!("{}", probe.text);
            if !probe.known {
                return Err(format!("{attribute} is not known for this record"));
            }
        }
        Command::Desk(DeskCommand::Key { desk: name }) => {
            let key = StaffKey::generate();
            println!(
                "# For the person alone; it is kept nowhere: {}",
                *key.text()
            );
            println!("key = \"{}\"", key.public(&name));
        }
        Command::Desk(DeskCommand::Run {
            config,
            until_stdin_closes,
        }) => {
            let config = DeskConfig::load(&config).map_err(|error| error.to_string())?;
            let running = desk::start(config).await?;
            stop_signal(until_stdin_closes).await;
            running.drain().await;
        }
        Command::Info { config } => {
            let config = load(&config)?;
            let own = config.own().map_err(|error| error.to_string())?;
            let url = format!("{}/v1/info", own.url.trim_end_matches('/'));
            let info: NodeInfo = http::send_json(http::client().get(url), info::MAX_ANSWER_BODY)
                .await
                .map_err(|error| format!("node {} at {}: {error}", own.id, own.url))?;
            println!(
                "{}",
                serde_json::to_string_pretty(&info).map_err(|error| error.to_string())?
            );
        }
    }
    Ok(())
}

fn described(contents: &backup::Contents) -> String {
    match contents.database {
        Some(bytes) => format!("keys and {bytes} bytes of database"),
        None => "keys; the database is Postgres, which has tools of its own".to_owned(),
    }
}

async fn stop_signal(until_stdin_closes: bool) {
    let stdin_closed = async {
        if !until_stdin_closes {
            return std::future::pending().await;
        }
        // A thread, because a blocked read of standard input would keep the runtime from ending.
        let (closed, wait) = tokio::sync::oneshot::channel();
        std::thread::spawn(move || {
            let _ = std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
            let _ = closed.send(());
        });
        let _ = wait.await;
    };
    let terminated = async {
        #[cfg(unix)]
        {
            use tokio::signal::unix::{SignalKind, signal};
            match signal(SignalKind::terminate()) {
                Ok(mut signal) => {
                    signal.recv().await;
                }
                Err(_) => std::future::pending().await,
            }
        }
        #[cfg(not(unix))]
        std::future::pending::<()>().await;
    };
    tokio::select! {
        () = stdin_closed => {}
        () = terminated => {}
        _ = tokio::signal::ctrl_c() => {}
    }
}

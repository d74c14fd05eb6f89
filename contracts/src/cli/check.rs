//! `rules check`: people from a file, decided one by one.

use std::error::Error;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::time::Instant;

use contracts::ids::Jurisdiction;
use contracts::screening::{Decision, Defaults, Household, MAX_MEMBERS, Member, Role, Screener};
use contracts::units::{Cents, Day};
use csv::ByteRecord;

use super::{Finding, Outcome, day_or_today};

/// Arguments of `rules check`.
#[derive(clap::Args)]
pub struct Args {
    /// CSV of people: household_id, person_id, state, role, age, annual_earned_income, monthly_hours, pregnant,
    /// disabled, receives_ssi, immigration_status, years_since_entry. Members of a household stand together.
    #[arg(long, required_unless_present_any = ["defaults", "household"], conflicts_with = "household")]
    people: Option<PathBuf>,
    /// JSON of one household; every basis tested is written as JSON, with reasons, limits and the next boundary.
    #[arg(long)]
    household: Option<PathBuf>,
    /// Day of the decision (default: today).
    #[arg(long, value_name = "YYYY-MM-DD")]
    as_of: Option<Day>,
    /// Stop at the first bad row instead of leaving its household out.
    #[arg(long)]
    strict: bool,
    /// Print what is taken for facts that the file does not say, and stop.
    #[arg(long)]
    defaults: bool,
}

const COLUMNS: [&str; 12] = [
    "household_id",
    "person_id",
    "state",
    "role",
    "age",
    "annual_earned_income",
    "monthly_hours",
    "pregnant",
    "disabled",
    "receives_ssi",
    "immigration_status",
    "years_since_entry",
];
const HEADER: &str = "household_id,person_id,medicaid,chip,category,reason,engagement_applicable,engagement_met,citations\n";
/// Bytes that one row may have.
const MAX_ROW: usize = 64 * 1024;

pub fn run(args: &Args) -> Outcome {
    let defaults = Defaults::default();
    if args.defaults {
        print_defaults(&defaults);
        return Ok(Finding::Fine);
    }
    if let Some(path) = &args.household {
        return super::household::run(path, day_or_today(args.as_of)?);
    }
    let Some(path) = &args.people else {
        return Err("give --people FILE".into());
    };
    let as_of = day_or_today(args.as_of)?;
    let file = File::open(path).map_err(|error| format!("{}: {error}", path.display()))?;
    let mut check = Check {
        path,
        strict: args.strict,
        screener: Screener::new(as_of, defaults),
        out: BufWriter::with_capacity(1 << 16, io::stdout().lock()),
        people: 0,
        bad: 0,
    };
    let begun = Instant::now();
    let outcome = check.all(file);
    check.out.flush()?;
    let seconds = begun.elapsed().as_secs_f64();
    #[allow(clippy::cast_precision_loss)] // a rate for people to read
    let rate = check.people as f64 / seconds.max(1e-9);
    eprintln!(
        "{} people in {seconds:.2} s, {rate:.0} a second; {} bad rows",
        check.people, check.bad
    );
    outcome?;
    Ok(if check.bad == 0 {
        Finding::Fine
    } else {
        Finding::Objection
    })
}

fn print_defaults(defaults: &Defaults) {
    println!("identity.medicare: {}", defaults.medicare);
    println!("identity.other_coverage: {}", defaults.other_coverage);
    println!(
        "household.former_foster_care: {}",
        defaults.former_foster_care
    );
    println!(
        "household.mother_on_medicaid_at_birth: {}",
        defaults.mother_on_medicaid_at_birth
    );
    println!("medical.postpartum: {}", defaults.postpartum);
    println!("medical.blind: {}", defaults.blind);
    println!("income.countable_resources: {}", Cents(defaults.resources));
    println!(
        "residence.locality_group (Virginia only): {}",
        defaults.locality_group
    );
    println!("income: earnings only, monthly = annual / 12 cut to whole cents; no unearned income");
    println!(
        "households: head and spouse file jointly and claim every child; one child is expected when pregnant"
    );
    println!(
        "community engagement: an adult who lives with a disabled member is taken to be their caregiver"
    );
    println!("birth date: the age given, half a year after the last birthday");
}

/// Where the wanted columns stand.
struct Columns([usize; COLUMNS.len()]);

impl Columns {
    fn new(header: &ByteRecord) -> Result<Self, String> {
        let mut found = [0; COLUMNS.len()];
        for (place, name) in found.iter_mut().zip(COLUMNS) {
            *place = header
                .iter()
                .position(|field| field == name.as_bytes())
                .ok_or_else(|| format!("line 1: no column {name}"))?;
        }
        Ok(Self(found))
    }

    fn get<'r>(&self, row: &'r ByteRecord, column: usize) -> &'r [u8] {
        let index = self.0.get(column).copied().unwrap_or(usize::MAX);
        row.get(index).unwrap_or_default()
    }
}

/// A bad field: the column and what is wrong.
type BadField = (usize, String);

fn text(field: &[u8]) -> &str {
    std::str::from_utf8(field).unwrap_or("\u{fffd}")
}

fn number(columns: &Columns, row: &ByteRecord, column: usize, max: i64) -> Result<i64, BadField> {
    let field = columns.get(row, column);
    let mut value: i64 = 0;
    if field.is_empty() || field.len() > 12 || !field.iter().all(u8::is_ascii_digit) {
        return Err((column, format!("{:?} is not a whole number", text(field))));
    }
    for digit in field {
        value = value * 10 + i64::from(digit - b'0');
    }
    if value > max {
        return Err((column, format!("{value} is above {max}")));
    }
    Ok(value)
}

fn flag(columns: &Columns, row: &ByteRecord, column: usize) -> Result<bool, BadField> {
    match columns.get(row, column) {
        b"0" => Ok(false),
        b"1" => Ok(true),
        other => Err((column, format!("{:?} is not 0 or 1", text(other)))),
    }
}

/// Dollars with at most two decimals, in cents; up to $12 million a year.
fn money(columns: &Columns, row: &ByteRecord, column: usize) -> Result<i64, BadField> {
    let field = columns.get(row, column);
    let bad = || {
        (
            column,
            format!(
                "{:?} is not dollars, such as 8430 or 8430.50, up to 12 million",
                text(field)
            ),
        )
    };
    let mut parts = field.splitn(2, |byte| *byte == b'.');
    let (whole, cents) = (parts.next().unwrap_or_default(), parts.next());
    let digits = |part: &[u8]| {
        let ok = !part.is_empty() && part.len() <= 9 && part.iter().all(u8::is_ascii_digit);
        ok.then(|| {
            part.iter()
                .fold(0, |sum, digit| sum * 10 + i64::from(digit - b'0'))
        })
    };
    let dollars = digits(whole).ok_or_else(bad)?;
    let cents = match cents {
        None => 0,
        Some(tenths @ [_]) => digits(tenths).ok_or_else(bad)? * 10,
        Some(cents @ [_, _]) => digits(cents).ok_or_else(bad)?,
        Some(_) => return Err(bad()),
    };
    if dollars > 12_000_000 {
        return Err(bad());
    }
    Ok(dollars * 100 + cents)
}

fn state(columns: &Columns, row: &ByteRecord) -> Result<Jurisdiction, BadField> {
    let field = text(columns.get(row, 2));
    field
        .parse()
        .map_err(|error: contracts::ids::UnknownName| (2, error.to_string()))
}

fn read_member(columns: &Columns, row: &ByteRecord, into: &mut Member) -> Result<(), BadField> {
    into.role = match columns.get(row, 3) {
        b"head" => Role::Head,
        b"spouse" => Role::Spouse,
        b"child" => Role::Child,
        other => return Err((3, format!("{:?} is not head, spouse or child", text(other)))),
    };
    into.age = u8::try_from(number(columns, row, 4, 129)?).unwrap_or(u8::MAX);
    into.annual_earned = money(columns, row, 5)?;
    into.monthly_hours = u16::try_from(number(columns, row, 6, 744)?).unwrap_or(u16::MAX);
    into.pregnant = flag(columns, row, 7)?;
    into.disabled = flag(columns, row, 8)?;
    into.ssi = flag(columns, row, 9)?;
    let class = text(columns.get(row, 10));
    if contracts::params::tables().immigration.knows(class) {
        into.class.clear();
        into.class.push_str(class);
    } else {
        return Err((10, format!("unknown immigration class {class:?}")));
    }
    into.years_since_entry = match columns.get(row, 11) {
        b"" => None,
        _ => u8::try_from(number(columns, row, 11, 129)?).ok(),
    };
    Ok(())
}

fn blank() -> Member {
    Member {
        role: Role::Head,
        age: 0,
        annual_earned: 0,
        monthly_hours: 0,
        pregnant: false,
        disabled: false,
        ssi: false,
        class: String::new(),
        years_since_entry: None,
        birth: None,
        instead: None,
    }
}

struct Check<'a, W: Write> {
    path: &'a Path,
    strict: bool,
    screener: Screener,
    out: W,
    people: u64,
    bad: u64,
}

/// A household as it is read: the ids of its people beside them, buffers that are used again.
struct Pending {
    household: Household,
    id: Vec<u8>,
    people: Vec<Vec<u8>>,
    members: usize,
    line: u64,
    sound: bool,
}

impl<W: Write> Check<'_, W> {
    fn all(&mut self, file: File) -> Result<(), Box<dyn Error>> {
        let mut reader = csv::ReaderBuilder::new()
            .buffer_capacity(1 << 18)
            .flexible(true)
            .from_reader(file);
        let at = |what: String| format!("{}: {what}", self.path.display());
        let columns = Columns::new(reader.byte_headers()?).map_err(at)?;
        self.out.write_all(HEADER.as_bytes())?;
        let first = Jurisdiction::all().next().ok_or("no jurisdiction")?;
        let mut pending = Pending {
            household: Household {
                state: first,
                members: Vec::new(),
            },
            id: Vec::new(),
            people: Vec::new(),
            members: 0,
            line: 1,
            sound: true,
        };
        let mut row = ByteRecord::new();
        while reader.read_byte_record(&mut row)? {
            let line = row.position().map_or(0, csv::Position::line);
            if row.as_slice().len() > MAX_ROW {
                return Err(at(format!("line {line}: a row of more than {MAX_ROW} bytes")).into());
            }
            let id = columns.get(&row, 0);
            if id != pending.id.as_slice() || pending.members == 0 {
                self.finish(&mut pending)?;
                pending.id.clear();
                pending.id.extend_from_slice(id);
                (pending.line, pending.sound, pending.members) = (line, true, 0);
            }
            if let Err((column, what)) = self.add(&columns, &row, &mut pending) {
                let place = columns.0.get(column).map_or(0, |place| place + 1);
                let name = COLUMNS.get(column).unwrap_or(&"row");
                self.object(line, &format!("column {place} ({name}): {what}"))?;
                pending.sound = false;
            }
            pending.members += 1;
        }
        self.finish(&mut pending)
    }

    fn add(
        &self,
        columns: &Columns,
        row: &ByteRecord,
        pending: &mut Pending,
    ) -> Result<(), BadField> {
        let state = state(columns, row)?;
        if pending.members == 0 {
            pending.household.state = state;
        } else if pending.household.state != state {
            return Err((2, "a household lives in one state".to_owned()));
        }
        if pending.members >= MAX_MEMBERS {
            return Err((0, format!("a household of more than {MAX_MEMBERS} people")));
        }
        if pending.people.len() <= pending.members {
            pending.people.push(Vec::new());
        }
        pending
            .household
            .members
            .resize_with(pending.members + 1, blank);
        let person = columns.get(row, 1);
        if let (Some(id), Some(member)) = (
            pending.people.get_mut(pending.members),
            pending.household.members.get_mut(pending.members),
        ) {
            id.clear();
            id.extend_from_slice(person);
            read_member(columns, row, member)?;
        }
        Ok(())
    }

    /// Reports a bad row.
    fn object(&mut self, line: u64, what: &str) -> Result<(), Box<dyn Error>> {
        let message = format!("{}:{line}: {what}", self.path.display());
        if self.strict {
            return Err(message.into());
        }
        eprintln!("{message}; its household is left out");
        self.bad += 1;
        Ok(())
    }

    fn finish(&mut self, pending: &mut Pending) -> Result<(), Box<dyn Error>> {
        if pending.members == 0 || !pending.sound {
            return Ok(());
        }
        let (out, mut failed) = (&mut self.out, None);
        let (id, people) = (&pending.id, &pending.people);
        let screened = self.screener.screen(&pending.household, |index, decision| {
            let person = people.get(index).map(Vec::as_slice).unwrap_or_default();
            if let Err(error) = write_row(out, id, person, decision) {
                failed = Some(error);
            }
        });
        if let Some(error) = failed {
            return Err(error.into());
        }
        match screened {
            Ok(()) => self.people += pending.members as u64,
            Err(error) => self.object(pending.line, &error.to_string())?,
        }
        Ok(())
    }
}

fn write_field(out: &mut impl Write, field: &[u8]) -> io::Result<()> {
    if !field
        .iter()
        .any(|byte| matches!(byte, b',' | b'"' | b'\n' | b'\r'))
    {
        return out.write_all(field);
    }
    out.write_all(b"\"")?;
    for part in field.split_inclusive(|byte| *byte == b'"') {
        out.write_all(part)?;
        if part.ends_with(b"\"") {
            out.write_all(b"\"")?;
        }
    }
    out.write_all(b"\"")
}

fn write_row(
    out: &mut impl Write,
    household: &[u8],
    person: &[u8],
    decision: &Decision,
) -> io::Result<()> {
    let yes_no = |flag: bool| if flag { "YES" } else { "NO" };
    let applicable = yes_no(decision.engagement.is_some());
    let met = decision.engagement.map_or("", yes_no);
    write_field(out, household)?;
    out.write_all(b",")?;
    write_field(out, person)?;
    let category = decision
        .category
        .map_or("NONE", |category| category.as_str());
    for field in [
        decision.medicaid.as_str(),
        decision.chip.as_str(),
        category,
        &decision.reason,
        applicable,
        met,
        &decision.citations,
    ] {
        out.write_all(b",")?;
        write_field(out, field.as_bytes())?;
    }
    out.write_all(b"\n")
}

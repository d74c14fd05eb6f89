CREATE TABLE person (
  person_id TEXT PRIMARY KEY,
  ssn TEXT NOT NULL UNIQUE,
  given_name TEXT NOT NULL,
  family_name TEXT NOT NULL,
  birth_date TEXT NOT NULL,
  status_code TEXT NOT NULL,
  medicare INTEGER NOT NULL CHECK (medicare IN (0, 1)),
  ssi INTEGER NOT NULL CHECK (ssi IN (0, 1)),
  former_foster_care INTEGER NOT NULL CHECK (former_foster_care IN (0, 1)),
  case_number TEXT NOT NULL UNIQUE,
  ehr_id TEXT NOT NULL UNIQUE
);
CREATE TABLE vital_record (
  ssn TEXT PRIMARY KEY,
  birth_date TEXT NOT NULL,
  given_name TEXT NOT NULL,
  family_name TEXT NOT NULL
);
CREATE TABLE residence (
  person_id TEXT PRIMARY KEY REFERENCES person (person_id),
  street TEXT NOT NULL,
  city TEXT NOT NULL,
  state TEXT NOT NULL,
  since TEXT NOT NULL
);
CREATE TABLE household (
  person_id TEXT PRIMARY KEY REFERENCES person (person_id),
  size INTEGER NOT NULL CHECK (size BETWEEN 1 AND 20),
  caretaker_relative INTEGER NOT NULL CHECK (caretaker_relative IN (0, 1))
);
-- Whose records were touched, in order: what those who keep copies ask after.
CREATE TABLE record_change (
  change INTEGER PRIMARY KEY AUTOINCREMENT,
  person_id TEXT NOT NULL
);
CREATE TRIGGER person_updated AFTER UPDATE ON person BEGIN
  INSERT INTO record_change (person_id) VALUES (new.person_id);
END;
CREATE TRIGGER residence_updated AFTER UPDATE ON residence BEGIN
  INSERT INTO record_change (person_id) VALUES (new.person_id);
END;
CREATE TRIGGER household_inserted AFTER INSERT ON household BEGIN
  INSERT INTO record_change (person_id) VALUES (new.person_id);
END;
CREATE TRIGGER household_updated AFTER UPDATE ON household BEGIN
  INSERT INTO record_change (person_id) VALUES (new.person_id);
END;
CREATE TRIGGER household_deleted AFTER DELETE ON household BEGIN
  INSERT INTO record_change (person_id) VALUES (old.person_id);
END;

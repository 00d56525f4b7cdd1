-- The first schema. Goes before the code. Instants are microseconds since 1970 in UTC; ids are 16 bytes; days are ISO dates.
-- What people wrote or are called lies in `sealed`, which binds the clear columns beside it; a row without has a `stamp`.

CREATE TABLE clinics (
    id {bytes} NOT NULL PRIMARY KEY,
    name text NOT NULL,
    site text NOT NULL,
    created_at {int64} NOT NULL,
    stamp {bytes} NOT NULL
) {strict};

CREATE TABLE clinicians (
    id {bytes} NOT NULL PRIMARY KEY,
    clinic_id {bytes} NOT NULL REFERENCES clinics (id),
    created_at {int64} NOT NULL,
    sealed {bytes} NOT NULL
) {strict};

CREATE INDEX clinicians_of_clinic ON clinicians (clinic_id, id);

CREATE TABLE patients (
    patient_id {bytes} NOT NULL PRIMARY KEY,
    clinic_id {bytes} NOT NULL REFERENCES clinics (id),
    created_at {int64} NOT NULL,
    sealed {bytes} NOT NULL
) {strict};

CREATE TABLE feeds (
    patient_id {bytes} NOT NULL PRIMARY KEY REFERENCES patients (patient_id),
    epoch {int64} NOT NULL,
    seq {int64} NOT NULL,
    floor {int64} NOT NULL,
    head {bytes} NOT NULL,
    stamp {bytes} NOT NULL
) {strict};

CREATE TABLE tokens (
    hash {bytes} NOT NULL PRIMARY KEY,
    id {bytes} NOT NULL,
    kind text NOT NULL,
    patient_id {bytes},
    clinician_id {bytes},
    clinic_id {bytes} NOT NULL,
    device_id {bytes},
    scopes text NOT NULL,
    created_at {int64} NOT NULL,
    expires_at {int64} NOT NULL,
    revoked_at {int64},
    sealed {bytes} NOT NULL
) {strict};

CREATE UNIQUE INDEX tokens_by_id ON tokens (id);

CREATE INDEX tokens_of_patient ON tokens (patient_id, created_at);

CREATE TABLE invites (
    code_hash {bytes} NOT NULL PRIMARY KEY,
    id {bytes} NOT NULL,
    patient_id {bytes} NOT NULL REFERENCES patients (patient_id),
    author_id {bytes} NOT NULL,
    created_at {int64} NOT NULL,
    expires_at {int64} NOT NULL,
    used_at {int64},
    device_id {bytes},
    token_hash {bytes},
    sealed {bytes} NOT NULL
) {strict};

CREATE UNIQUE INDEX invites_by_id ON invites (id);

CREATE TABLE codes (
    code_hash {bytes} NOT NULL PRIMARY KEY,
    clinician_id {bytes} NOT NULL REFERENCES clinicians (id),
    created_at {int64} NOT NULL,
    expires_at {int64} NOT NULL,
    used_at {int64},
    stamp {bytes} NOT NULL
) {strict};

CREATE TABLE repeats (
    key {bytes} NOT NULL PRIMARY KEY,
    digest {bytes} NOT NULL,
    made_id {bytes} NOT NULL,
    created_at {int64} NOT NULL,
    stamp {bytes} NOT NULL
) {strict};

CREATE INDEX repeats_by_age ON repeats (created_at);

CREATE TABLE consents (
    patient_id {bytes} NOT NULL REFERENCES patients (patient_id),
    id {bytes} NOT NULL,
    revision {int64} NOT NULL,
    seq {int64} NOT NULL,
    recipient {bytes} NOT NULL,
    from_at {int64} NOT NULL,
    until_at {int64},
    revoked_at {int64},
    recorded_at {int64} NOT NULL,
    current {int64} NOT NULL,
    sealed {bytes} NOT NULL,
    link {bytes} NOT NULL,
    PRIMARY KEY (patient_id, id, revision)
) {strict};

CREATE INDEX consents_to_recipient ON consents (recipient, patient_id) WHERE current = 1;

CREATE TABLE disclosures (
    patient_id {bytes} NOT NULL REFERENCES patients (patient_id),
    seq {int64} NOT NULL,
    id {bytes} NOT NULL,
    at {int64} NOT NULL,
    recipient {bytes} NOT NULL,
    consent_id {bytes},
    sealed {bytes} NOT NULL,
    link {bytes} NOT NULL,
    PRIMARY KEY (patient_id, seq)
) {strict};

CREATE TABLE logs (
    patient_id {bytes} NOT NULL,
    at {int64} NOT NULL,
    id {bytes} NOT NULL,
    revision {int64} NOT NULL,
    seq {int64} NOT NULL,
    kind text NOT NULL,
    zone text NOT NULL,
    day text NOT NULL,
    source text NOT NULL,
    author_id {bytes} NOT NULL,
    recorded_at {int64} NOT NULL,
    skew {int64} NOT NULL,
    deleted {int64} NOT NULL,
    current {int64} NOT NULL,
    sealed {bytes} NOT NULL,
    link {bytes} NOT NULL,
    PRIMARY KEY (patient_id, at, id, revision),
    UNIQUE (patient_id, id, revision)
) {strict};

CREATE TABLE beats (
    name text NOT NULL PRIMARY KEY,
    at {int64} NOT NULL
) {strict};

CREATE TABLE plans (
    patient_id {bytes} NOT NULL REFERENCES patients (patient_id),
    id {bytes} NOT NULL,
    revision {int64} NOT NULL,
    seq {int64} NOT NULL,
    author_id {bytes} NOT NULL,
    recorded_at {int64} NOT NULL,
    deleted {int64} NOT NULL,
    current {int64} NOT NULL,
    extend_at {int64},
    sealed {bytes} NOT NULL,
    link {bytes} NOT NULL,
    PRIMARY KEY (patient_id, id, revision)
) {strict};

CREATE INDEX plans_to_extend ON plans (extend_at) WHERE extend_at IS NOT NULL;

CREATE TABLE endpoints (
    patient_id {bytes} NOT NULL REFERENCES patients (patient_id),
    id {bytes} NOT NULL,
    channel text NOT NULL,
    state text NOT NULL,
    created_at {int64} NOT NULL,
    sealed {bytes} NOT NULL,
    PRIMARY KEY (patient_id, id)
) {strict};

CREATE TABLE nudges (
    patient_id {bytes} NOT NULL,
    due_at {int64} NOT NULL,
    id {bytes} NOT NULL,
    plan_id {bytes} NOT NULL,
    plan_revision {int64} NOT NULL,
    slot text NOT NULL,
    day text NOT NULL,
    zone text NOT NULL,
    kind text NOT NULL,
    window_end {int64} NOT NULL,
    state text NOT NULL,
    attempt {int64} NOT NULL,
    sent_at {int64},
    next_try_at {int64},
    lease_owner text,
    sealed {bytes} NOT NULL,
    PRIMARY KEY (patient_id, due_at, id),
    UNIQUE (patient_id, plan_id, day, slot, zone)
) {strict};

CREATE INDEX nudges_to_do ON nudges (next_try_at) WHERE next_try_at IS NOT NULL;

CREATE TABLE deliveries (
    patient_id {bytes} NOT NULL,
    nudge_id {bytes} NOT NULL,
    attempt {int64} NOT NULL,
    at {int64} NOT NULL,
    endpoint_id {bytes} NOT NULL,
    channel text NOT NULL,
    outcome text NOT NULL,
    status {int64},
    sealed {bytes} NOT NULL,
    PRIMARY KEY (patient_id, nudge_id, attempt)
) {strict};

-- Sync: the order of a patient's changes as an index, and what became of each operation a device sent. Goes before the code.
-- What is purged from the feed has `current` 0 and stays in the history.

CREATE INDEX logs_feed ON logs (patient_id, seq) WHERE current = 1;

CREATE INDEX logs_tombstones ON logs (recorded_at, patient_id) WHERE deleted = 1 AND current = 1;

CREATE TABLE pushes (
    patient_id {bytes} NOT NULL,
    device_id {bytes} NOT NULL,
    last_n {int64} NOT NULL,
    first_n {int64} NOT NULL,
    recorded_at {int64} NOT NULL,
    sealed {bytes} NOT NULL,
    PRIMARY KEY (patient_id, device_id, last_n)
) {strict};

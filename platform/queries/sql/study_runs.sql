-- The runs of a study, the newest first, with what they ran on and with.
SELECT
    run_id,
    make_timestamp(epoch_us(started)) AS started, -- in UTC
    device,
    workers,
    batch_size,
    git_revision,
    versions,
    files,
    study AS study_text
FROM runs
WHERE study_name = $study
ORDER BY started DESC, run_id DESC
LIMIT $count;

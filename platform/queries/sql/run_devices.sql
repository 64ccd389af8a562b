-- The devices that worked in a study's runs, with their drivers and the images that they made.
SELECT
    profiles.run_id,
    profiles.device,
    profiles.driver,
    sum(profiles.images) FILTER (profiles.stage = 'network')::BIGINT AS images
FROM profiles
SEMI JOIN (
    SELECT run_id
    FROM runs
    WHERE study_name = $study
) USING (run_id)
GROUP BY profiles.run_id, profiles.device, profiles.driver
ORDER BY profiles.run_id, profiles.device, profiles.driver;

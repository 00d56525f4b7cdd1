"""Clinics and their sites, clinicians, patients, devices, invites, sign-in and tokens. Knows nothing of consent or diary."""

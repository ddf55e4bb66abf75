#!/usr/bin/env bash
# The same with words of your domain added to the vocabulary. Values from the environment win here too.

# --- added words
export NAME=${NAME:-${DOMAIN:-my_domain}_words} ADDED_WORDS=${ADDED_WORDS:-2000}
./recipes/my_domain.sh

// known.h — the files of contracts/ as text, compiled in. Made by scripts/embed.py. Internal to
// contract/.
#ifndef LATHE_CONTRACT_KNOWN_H
#define LATHE_CONTRACT_KNOWN_H

// In order of their names; NULL after the last.
extern const char *const known_contracts[];

#endif

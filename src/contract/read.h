// read.h — the parts of reading a contract, in the order in which model_read() calls them. Internal
// to contract/.
#ifndef LATHE_CONTRACT_READ_H
#define LATHE_CONTRACT_READ_H

#include "contract/reader.h"

void read_rope(ContractReader *r);       // after the shape is known
void read_kinds(ContractReader *r);      // which layers differ from the first kind, and how
void read_vocabulary(ContractReader *r); // what the contract says of text
void bind_weights(ContractReader *r);    // after every field that shapes depend on
void read_leftovers(ContractReader *r);  // every key and tensor not read is harmless or an error

#endif

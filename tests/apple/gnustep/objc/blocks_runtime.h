// blocks_runtime.h — GNUstep asks for this name; Debian has the header as Block.h.
#include <Block.h>

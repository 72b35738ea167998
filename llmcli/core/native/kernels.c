/* All kernels for one instruction set: VECTOR bytes at once, in the table called TABLE. */
#include "vector.h"

#include "dense.h"

#include "packed.h"

#include "quantize.h"

#include "rows.h"

#include "attention.h"

#define TEXT_OF(name) #name
#define TEXT(name) TEXT_OF(name)

const Kernels TABLE = {
    .name = TEXT(NAME),
    .dense_prepare = dense_prepare,
    .dense = dense,
    .packed_prepare = packed_prepare,
    .packed = packed,
    .unpack = unpack,
    .quantize = quantize,
    .norm = norm,
    .activate = activate,
    .add = add,
    .gather = gather,
    .survey = survey,
    .rotate = rotate,
    .narrow = narrow,
    .attend = attend,
    .merge = merge,
};

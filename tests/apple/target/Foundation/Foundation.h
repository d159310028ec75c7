// Foundation.h — own declarations of the part of Foundation that src/coreml/ calls: for checking types against
// Apple's target on machines without Apple's SDK. Checked as CoreML.h is.
#ifndef LATHE_TESTS_APPLE_FOUNDATION_H
#define LATHE_TESTS_APPLE_FOUNDATION_H

#include <stdbool.h>
#include <stddef.h>

typedef signed long NSInteger;
typedef unsigned long NSUInteger;
typedef bool BOOL;
#define YES true
#define NO  false
#define nil ((id)0)
#define NS_ENUM(Type, Name)                                                                        \
    enum Name : Type Name;                                                                         \
    enum Name : Type
#define FOUNDATION_EXPORT extern

@class NSString, NSError, NSArray, NSDictionary, NSSet, NSNumber, NSURL, NSBundle;

typedef struct {
    unsigned long state;
    id __unsafe_unretained *itemsPtr;
    unsigned long *mutationsPtr;
    unsigned long extra[5];
} NSFastEnumerationState;

@protocol NSObject
- (instancetype)retain;
- (void)release;
- (instancetype)autorelease;
- (NSUInteger)retainCount;
- (BOOL)isKindOfClass:(Class)aClass;
@end

__attribute__((objc_root_class))
@interface NSObject<NSObject> {
    Class isa;
}
+ (Class)class;
+ (instancetype)alloc;
+ (instancetype)new;
- (instancetype)init;
- (void)dealloc;
@end

@protocol NSFastEnumeration
- (NSUInteger)countByEnumeratingWithState:(NSFastEnumerationState *)state
                                  objects:(id __unsafe_unretained[])buffer
                                    count:(NSUInteger)len;
@end

@interface NSString : NSObject
+ (instancetype)stringWithUTF8String:(const char *)nullTerminatedCString;
@property(readonly) const char *UTF8String;
- (BOOL)isEqualToString:(NSString *)aString;
@end

@interface NSConstantString : NSString
@end

@interface NSNumber : NSObject
+ (NSNumber *)numberWithUnsignedLong:(unsigned long)value;
@property(readonly) NSUInteger unsignedIntegerValue;
@end

@interface NSError : NSObject
@property(readonly, copy) NSString *localizedDescription;
@property(readonly, copy) NSString *domain;
@property(readonly) NSInteger code;
@end

@interface NSException : NSObject
@property(readonly, copy) NSString *name;
@property(readonly, copy) NSString *reason;
@end

@interface NSBundle : NSObject
+ (NSBundle *)bundleForClass:(Class)aClass;
- (id)objectForInfoDictionaryKey:(NSString *)key;
@end

@interface NSURL : NSObject
+ (NSURL *)fileURLWithPath:(NSString *)path;
@property(readonly, copy) NSString *path;
@end

@interface NSArray : NSObject <NSFastEnumeration>
- (id)objectAtIndex:(NSUInteger)index;
@property(readonly) NSUInteger count;
@end

@interface NSMutableArray : NSArray
+ (instancetype)arrayWithCapacity:(NSUInteger)numItems;
- (void)addObject:(id)anObject;
@end

@interface NSSet : NSObject <NSFastEnumeration>
@end

@interface NSDictionary : NSObject <NSFastEnumeration>
- (id)objectForKey:(id)aKey;
@property(readonly) NSUInteger count;
@end

@interface NSMutableDictionary : NSDictionary
+ (instancetype)dictionaryWithCapacity:(NSUInteger)numItems;
- (void)setObject:(id)anObject forKey:(id)aKey;
@end

#endif

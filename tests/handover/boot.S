/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A boot sector that works with its disk through INT 13h, as a boot loader does: reads groups of 32
 * sectors and checks their marks, and writes a marked sector after each. Says so on COM1: "STARTED", a
 * point each 16 rounds, "DONE" or "BAD" with INT 13h's status; then ends the machine
 * (isa-debug-exit at 0xf4). ipxe_cases.py makes the disk and puts the number of rounds in.
 *
 * The marks: the first 4 bytes of sector n are n, the last 4 are ~n; in a written sector, n is the round.
 */
#define GROUPS  256     /* groups read, from sector FIRST on */
#define FIRST   64
#define WRITTEN 16384   /* round n writes sector WRITTEN + n */
#define READ_TO 0x1000  /* segments */
#define WRITE_FROM 0x3000

    .code16
    .globl _start
_start:
    ljmp $0, $begin
begin:
    xor %ax, %ax
    mov %ax, %ds
    mov %ax, %ss
    mov $0x7c00, %sp
    mov %dl, drive
    cld
    sti
    mov $text_boot, %si
    call say
    xor %ebp, %ebp
round:
    mov %ebp, %eax
    and $(GROUPS - 1), %eax
    shl $5, %eax
    add $FIRST, %eax
    mov %eax, lba
    movw $32, count
    movw $READ_TO, segment
    mov $0x42, %ah
    call disk
    mov $READ_TO, %ax
    mov %ax, %es
    xor %di, %di
    mov lba, %eax
    mov $32, %cx
check:
    cmp %eax, %es:(%di)
    jne wrong
    mov %eax, %edx
    not %edx
    cmp %edx, %es:508(%di)
    jne wrong
    inc %eax
    add $512, %di
    loop check

    mov $WRITE_FROM, %ax
    mov %ax, %es
    mov %ebp, %es:0
    mov %ebp, %eax
    not %eax
    mov %eax, %es:508
    mov %ebp, %eax
    add $WRITTEN, %eax
    mov %eax, lba
    movw $1, count
    movw $WRITE_FROM, segment
    mov $0x4300, %ax
    call disk

    inc %ebp
    test $15, %bp
    jnz more
    mov $text_point, %si
    call say
more:
    cmp rounds, %ebp
    jb round
    mov $text_done, %si
    call say
    mov $16, %al
    jmp leave
wrong:
    xor %ah, %ah
failed:
    mov %ah, %bl
    mov $text_bad, %si
    call say
    mov %bl, %al
    shr $4, %al
    call digit
    mov %bl, %al
    and $15, %al
    call digit
    mov $text_end, %si
    call say
    mov $17, %al
leave:
    out %al, $0xf4
    hlt
    jmp leave

disk:
    mov $packet, %si
    mov drive, %dl
    int $0x13
    jc failed
    ret

digit:
    add $'0', %al
    cmp $'9', %al
    jbe put
    add $('a' - '9' - 1), %al
put:
    mov %al, %cl
    mov $0x3fd, %dx
full:
    in %dx, %al
    test $0x20, %al
    jz full
    mov $0x3f8, %dx
    mov %cl, %al
    out %al, %dx
    ret
say:
    lodsb
    test %al, %al
    jz said
    call put
    jmp say
said:
    ret

text_boot:  .asciz "STARTED\r\n"
text_point: .asciz "."
text_done:  .asciz "\r\nDONE\r\n"
text_bad:   .asciz "\r\nBAD "
text_end:   .asciz "\r\n"
drive:      .byte 0
    .balign 4
packet:     .byte 16, 0
count:      .word 0
            .word 0
segment:    .word 0
lba:        .long 0, 0

    .org 0x1f0
rounds:     .long 0
    .org 0x1fe
    .word 0xaa55
